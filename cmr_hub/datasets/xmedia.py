"""XMedia and XMediaNet: features of images and texts in 20 and 200 classes.

Y. Peng, X. Huang, Y. Zhao: An overview of cross-media retrieval: concepts, methodologies,
benchmarks and challenges. IEEE TCSVT 28, 2018. Available from Peking University on request, for
research; the terms have not been verified. XMedia's audio, video and 3D models are not read.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cmr_hub.datasets import feature_files
from cmr_hub.datasets.features import FeatureDataset, label_column, text_matrix
from cmr_hub.datasets.location import find_dataset
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import read_text, split_lines
from cmr_hub.errors import DataFormatError, UnknownNameError

HOME_PAGE = "http://www.icst.pku.edu.cn/mipl/xmedia"
XMEDIA_FILE = "XMediaFeatures.mat"
XMEDIA_ARRAYS = {
    "images": ("I_tr_CNN", "I_te_CNN"),
    "texts": ("T_tr_BOW", "T_te_BOW"),
    "labels": ("trImgCat", "teImgCat"),
}
XMEDIANET_FILES = ("img_{}_fea.txt", "txt_{}_fea.txt", "img_{}_list.txt")
PROTOCOL = "train/test"


def read_xmedia(root: str | Path | None = None, protocol: str = PROTOCOL) -> FeatureDataset:
    """Read XMedia from `root` or `$CMR_DATA_HOME/xmedia`: 4,000 training and 1,000 test pairs.

    `XMediaFeatures.mat` has 4,096 numbers of a CNN for each picture and 3,000 word counts for each
    text, as `I_tr_CNN`, `T_tr_BOW`, `trImgCat` and the same with `te`. This layout is the one that
    several published programs read; it has not been verified against the file itself.

    Raises DataNotFoundError, DataFormatError and UnknownNameError.
    """
    base = _base("xmedia", root, protocol, (XMEDIA_FILE,))
    arrays = ",".join(
        f"{role}.train={train},{role}.test={test}" for role, (train, test) in XMEDIA_ARRAYS.items()
    )
    return replace(feature_files.read(base / XMEDIA_FILE, arrays), name="xmedia", protocol=protocol)


def read_xmedianet(root: str | Path | None = None, protocol: str = PROTOCOL) -> FeatureDataset:
    """Read XMediaNet from `root` or `$CMR_DATA_HOME/xmedianet`: 32,000 and 8,000 pairs.

    `img_train_fea.txt` (4,096 numbers a line), `txt_train_fea.txt` (300) and `img_train_list.txt`
    (a file name and the number of its class), and the same with `test`. This layout is the one that
    a published program reads; it has not been verified against the files themselves. The file
    `XMediaNet5View_Doc2Vec.mat`, which is also in use, contains cell arrays: save its matrices to
    an `.npz` file and read it as the dataset `features`.

    Raises DataNotFoundError, DataFormatError and UnknownNameError.
    """
    sides = ("train", "test")
    files = [name.format(side) for side in sides for name in XMEDIANET_FILES]
    base = _base("xmedianet", root, protocol, files)
    images, texts, labels = [], [], []
    for side in sides:
        pictures, documents, listed = (base / name.format(side) for name in XMEDIANET_FILES)
        images.append(text_matrix(pictures))
        texts.append(text_matrix(documents))
        lines = [line.split() for line in split_lines(read_text(listed, ReadReport()) or "")]
        if not all(len(line) == 2 for line in lines):
            raise DataFormatError(f"{listed}: each line must be a file name and a class number")
        labels += [line[1] for line in lines]
        if not len(images[-1]) == len(texts[-1]) == len(lines):
            raise DataFormatError(f"{base}: the three files of {side} differ in length")
    numbers, classes = label_column(labels, len(labels))
    return FeatureDataset(
        name="xmedianet",
        protocol=protocol,
        ids=tuple(map(str, range(len(labels)))),
        labels=numbers,
        classes=classes,
        splits=np.repeat(sides, [len(part) for part in images]),
        image_features=np.concatenate(images),
        text_features=np.concatenate(texts),
    )


def _base(
    name: str, root: str | Path | None, protocol: str, files: tuple[str, ...] | list[str]
) -> Path:
    if protocol != PROTOCOL:
        raise UnknownNameError(f"protocol of {name}", protocol, [PROTOCOL])
    layout = ", ".join(files)
    return find_dataset(name, name, root, layout=layout, home_page=HOME_PAGE, required=files)
