"""MIRFlickr-25k: 25,000 photographs with the tags of their authors and several labels each.

M. J. Huiskes, M. S. Lew: The MIR Flickr retrieval evaluation. MIR 2008. The pictures are under
Creative Commons licences, which `meta/license` lists.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cmr_hub.datasets.location import find_dataset
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.datasets.protocols import random_seed
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import read_text, split_lines
from cmr_hub.errors import DataFormatError, UnknownNameError

NAME = "mirflickr25k"
HOME_PAGE = "https://press.liacs.nl/mirflickr/mirdownload.html (mirflickr25k, annotations_v080)"
ANNOTATIONS = ("mirflickr25k_annotations_v080", "annotations_v080", "annotations")
LAYOUT = "im1.jpg ..., meta/tags/tags1.txt ... and mirflickr25k_annotations_v080/<class>.txt"
TEST = 2000


def read(root: str | Path | None = None, protocol: str = "random-0") -> PairDataset:
    """Read the dataset from `root` or `$CMR_DATA_HOME/mirflickr25k`.

    The folder is the published `mirflickr`, with the annotations in it. The tags of a picture form
    its text, a single sentence. Its labels are the 24 classes of `<class>.txt`; the 14 stricter
    ones of `<class>_r1.txt` are not read. Pictures without tags or labels are left out, as usual;
    the literature keeps 20,015 pictures, because it also drops tags that occur fewer than 20 times.

    Protocol `random-<seed>`: 2,000 random pictures are test, as in the literature on hashing,
    whose random splits are not published with the dataset.

    Raises DataNotFoundError, DataFormatError and UnknownNameError.
    """
    seed = random_seed(protocol)
    if seed is None:
        raise UnknownNameError(f"protocol of {NAME}", protocol, ["random-<seed>"])
    base = find_dataset(
        NAME, NAME, root, layout=LAYOUT, home_page=HOME_PAGE, required=("meta/tags",)
    )
    report = ReadReport()
    members = _annotations(base)
    classes = tuple(sorted(members))
    numbers = {
        int(match[1]): path
        for path in base.glob("im*.jpg")
        if (match := re.fullmatch("im([0-9]{1,9})", path.stem))
    }
    kept: list[int] = []
    sentences: list[tuple[str, ...]] = []
    for number in sorted(numbers):
        file = base / "meta" / "tags" / f"tags{number}.txt"
        text = read_text(file, report) if file.is_file() else ""
        tags = " ".join(split_lines(text or ""))
        if not tags:
            report.add("missing text", file, "no tags")
        elif not any(number in of_class for of_class in members.values()):
            report.add("missing class", numbers[number], "belongs to no class")
        else:
            kept.append(number)
            sentences.append((tags,))
    labels = np.array(
        [[number in members[name] for name in classes] for number in kept], dtype=np.float32
    ).reshape(len(kept), len(classes))
    splits = np.full(len(kept), "train", dtype="<U10")
    splits[np.random.default_rng(seed).permutation(len(kept))[:TEST]] = "test"
    return PairDataset(
        name=NAME,
        protocol=protocol,
        ids=tuple(f"im{number}" for number in kept),
        images=tuple(numbers[number] for number in kept),
        sentences=tuple(sentences),
        labels=labels,
        classes=classes,
        splits=splits,
        report=report,
    )


def _annotations(base: Path) -> dict[str, set[int]]:
    """Return the numbers of the pictures of each class."""
    folder = next((base / name for name in ANNOTATIONS if (base / name).is_dir()), base)
    members = {}
    for path in sorted(folder.glob("*.txt")):
        if path.stem.endswith("_r1") or path.stem.lower() == "readme":
            continue
        words = (read_text(path, ReadReport()) or "").split()
        if not all(word.isascii() and word.isdigit() for word in words):
            raise DataFormatError(f"{path} is not a list of picture numbers")
        members[path.stem] = set(map(int, words))
    if not members:
        raise DataFormatError(f"{folder} has no <class>.txt: put the annotations there")
    return members
