"""MS-COCO and Flickr30k with Karpathy's splits: photographs with five sentences, without labels.

T.-Y. Lin et al.: Microsoft COCO: common objects in context. ECCV 2014. The annotations are under
CC BY 4.0; the pictures under the terms of Flickr. P. Young, A. Lai, M. Hodosh, J. Hockenmaier:
From image descriptions to visual denotations. TACL 2014, for non-commercial research and
education. A. Karpathy, L. Fei-Fei: Deep visual-semantic alignments for generating image
descriptions. CVPR 2015, for the splits, whose licence is not stated.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ValidationError

from cmr_hub.datasets.location import find_dataset, not_found
from cmr_hub.datasets.metadata import is_inside
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.datasets.report import ReadReport
from cmr_hub.errors import DataFormatError, UnknownNameError
from cmr_hub.outside import read_bytes

PROTOCOL = "karpathy"
TABLES = "https://cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip"
COCO_PAGE = f"https://cocodataset.org/#download (train2014, val2014) and {TABLES}"
FLICKR30K_PAGE = f"https://shannon.cs.illinois.edu/DenotationGraph/ and {TABLES}"
FLICKR30K_FOLDERS = ("flickr30k-images", "flickr30k_images", "images")
_SPLITS = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
_MOST_BYTES = 2**30
_FOLD = 1000


class _Sentence(BaseModel):
    raw: str


class _Picture(BaseModel):
    filename: str
    filepath: str = ""
    split: Literal["train", "restval", "val", "test"]
    sentences: list[_Sentence]


class _Table(BaseModel):
    images: list[_Picture]


def read_coco(root: str | Path | None = None, protocol: str = PROTOCOL) -> PairDataset:
    """Read MS-COCO 2014 from `root` or `$CMR_DATA_HOME/coco`.

    The folder has `dataset_coco.json`, `train2014/` and `val2014/`. Protocols:
        karpathy: 113,287 training pictures (with `restval`), 5,000 validation, 5,000 test ("5K").
        no-restval: the same without the 30,504 pictures of `restval`.
        1k-1, ..., 1k-5: as karpathy, with the nth thousand of the test pictures; the usual "1K"
            figures are means over these five.

    Raises DataNotFoundError, DataFormatError (another table) and UnknownNameError.
    """
    fold = re.fullmatch("1k-([1-5])", protocol)
    if protocol not in (PROTOCOL, "no-restval") and fold is None:
        known = [PROTOCOL, "no-restval", *(f"1k-{n}" for n in range(1, 6))]
        raise UnknownNameError("protocol of coco", protocol, known)
    layout = "dataset_coco.json, and the pictures in train2014 and val2014"
    base = find_dataset(
        "coco", "coco", root, layout=layout, home_page=COCO_PAGE, required=("dataset_coco.json",)
    )
    pictures = _pictures(base / "dataset_coco.json")
    if protocol == "no-restval":
        pictures = [picture for picture in pictures if picture.split != "restval"]
    if fold is not None:
        first = _FOLD * (int(fold[1]) - 1)
        test = [picture for picture in pictures if picture.split == "test"]
        pictures = [picture for picture in pictures if picture.split != "test"]
        pictures += test[first : first + _FOLD]
    return _dataset("coco", protocol, base, base / "dataset_coco.json", base, pictures)


def read_flickr30k(root: str | Path | None = None, protocol: str = PROTOCOL) -> PairDataset:
    """Read Flickr30k from `root` or `$CMR_DATA_HOME/flickr30k`.

    The folder has `dataset_flickr30k.json` and the pictures in `flickr30k-images/`,
    `flickr30k_images/` or `images/`: 29,000 training, 1,014 validation and 1,000 test pictures.

    Raises as `read_coco`.
    """
    if protocol != PROTOCOL:
        raise UnknownNameError("protocol of flickr30k", protocol, [PROTOCOL])
    name, table = "flickr30k", "dataset_flickr30k.json"
    layout = f"{table}, and the pictures in {FLICKR30K_FOLDERS[0]}"
    base = find_dataset(
        name, name, root, layout=layout, home_page=FLICKR30K_PAGE, required=(table,)
    )
    folder = next((base / one for one in FLICKR30K_FOLDERS if (base / one).is_dir()), None)
    if folder is None:
        raise not_found(name, f"{base} has no {FLICKR30K_FOLDERS[0]}", layout, FLICKR30K_PAGE)
    return _dataset(name, protocol, base, base / table, folder, _pictures(base / table))


def _pictures(table: Path) -> list[_Picture]:
    try:
        return _Table.model_validate_json(read_bytes(table, _MOST_BYTES)).images
    except (OSError, ValidationError) as error:
        raise DataFormatError(f"{table} is not in Karpathy's format: {error}") from error


def _dataset(
    name: str, protocol: str, base: Path, table: Path, folder: Path, pictures: list[_Picture]
) -> PairDataset:
    report = ReadReport()
    found: dict[str, tuple[Path, tuple[str, ...], str]] = {}
    for picture in pictures:
        path = folder / picture.filepath / picture.filename
        sentences = tuple(one.raw.strip() for one in picture.sentences if one.raw.strip())
        if not is_inside(path, base):
            report.add("unsafe path", table, picture.filename)
        elif not path.is_file():
            report.add("missing image", path)
        elif not sentences:
            report.add("empty text", table, picture.filename)
        elif picture.filename in found:
            report.add("duplicate id", table, picture.filename)
        else:
            found[picture.filename] = path, sentences, _SPLITS[picture.split]
    return PairDataset(
        name=name,
        protocol=protocol,
        ids=tuple(found),
        images=tuple(path for path, _, _ in found.values()),
        sentences=tuple(sentences for _, sentences, _ in found.values()),
        labels=np.full(len(found), -1, dtype=np.int64),
        classes=(),
        splits=np.array([split for _, _, split in found.values()], dtype=np.str_),
        report=report,
    )
