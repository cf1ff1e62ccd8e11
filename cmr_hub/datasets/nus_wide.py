"""NUS-WIDE: features of 269,648 photographs of Flickr, their tags, and 81 concepts.

T.-S. Chua, J. Tang, R. Hong, H. Li, Z. Luo, Y. Zheng: NUS-WIDE: a real-world web image database
from National University of Singapore. CIVR 2009, for non-commercial research; the pictures
themselves are not distributed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmr_hub.datasets.features import FeatureDataset, text_matrix
from cmr_hub.datasets.location import find_dataset
from cmr_hub.datasets.report import ReadReport
from cmr_hub.datasets.text import read_text, split_lines
from cmr_hub.errors import DataFormatError, UnknownNameError
from cmr_hub.types import FloatArray

NAME = "nus-wide"
HOME_PAGE = "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html"
IMAGES = "Low_Level_Features/BoW_{}_int.dat"
TEXTS = "NUS_WID_Tags/{}_Tags1k.dat"
LABELS = "Groundtruth/TrainTestLabels/Labels_{}_{}.txt"
CONCEPTS = "Concepts81.txt"
TEN = (
    *("animal", "clouds", "flowers", "food", "grass"),
    *("person", "sky", "toy", "water", "window"),
)
"""Concepts of the 10k subset, by the authors of Corr-AE (Feng et al., ACM MM 2014). Not verified
against their files."""
_OF_TEN = {"train": 800, "validation": 100, "test": 100}


def read(root: str | Path | None = None, protocol: str = "full") -> FeatureDataset:
    """Read the dataset from `root` or `$CMR_DATA_HOME/nus-wide`.

    The folder has the published archives: `Low_Level_Features/BoW_Train_int.dat` and `_Test_`
    (bags of 500 SIFT words), `NUS_WID_Tags/Train_Tags1k.dat` and `Test_` (1,000 tags),
    `Groundtruth/TrainTestLabels/Labels_<concept>_Train.txt` and `_Test`, and `Concepts81.txt`.
    Image rows are divided by their sums. This layout is the one that published programs read; it
    has not been verified against the archives themselves.

    Protocols:
        full: the published 161,789 training and 107,859 test items, without those that have no
            tag or none of the 81 concepts.
        21: the same for the 21 most frequent concepts, as is usual in work on hashing.
        10k-<seed>: items that have exactly one of the `TEN` concepts, with 800 training, 100
            validation and 100 test items of each, drawn at random. The subset in the literature
            has the same sizes, but its items are not known here.

    Raises DataNotFoundError, DataFormatError and UnknownNameError.
    """
    seed = re.fullmatch("10k-([0-9]{1,9})", protocol)
    if protocol not in ("full", "21") and seed is None:
        raise UnknownNameError(f"protocol of {NAME}", protocol, ["full", "21", "10k-<seed>"])
    sides = ("Train", "Test")
    base = find_dataset(
        NAME,
        NAME,
        root,
        layout=f"{IMAGES.format('Train')}, {TEXTS.format('Train')}, "
        f"{LABELS.format('<concept>', 'Train')}, each also for Test, and {CONCEPTS}",
        home_page=HOME_PAGE,
        required=(CONCEPTS, *(part.format(side) for part in (IMAGES, TEXTS) for side in sides)),
    )
    concepts = list(split_lines(read_text(base / CONCEPTS, ReadReport()) or ""))
    if seed is not None:
        if missing := [name for name in TEN if name not in concepts]:
            raise DataFormatError(
                f"{base / CONCEPTS} has no {', '.join(missing)}: get the file from {HOME_PAGE}"
            )
        concepts = list(TEN)
    images, texts, labels = [], [], []
    for side in sides:
        images.append(text_matrix(base / IMAGES.format(side)))
        texts.append(text_matrix(base / TEXTS.format(side)))
        files = [base / LABELS.format(concept, side) for concept in concepts]
        columns = [text_matrix(file)[:, 0] for file in files]
        lengths = {len(rows) for rows in (images[-1], texts[-1], *columns)}
        if len(lengths) > 1:
            raise DataFormatError(f"{base}: files of {side} differ in length: {sorted(lengths)}")
        labels.append(np.stack(columns, axis=1))
    splits = np.repeat(["train", "test"], [len(rows) for rows in images])
    dataset = FeatureDataset(
        name=NAME,
        protocol=protocol,
        ids=tuple(map(str, range(len(splits)))),
        labels=np.concatenate(labels),
        classes=tuple(concepts),
        splits=splits,
        image_features=_shares(np.concatenate(images)),
        text_features=np.concatenate(texts),
    )
    sides_present = dataset.image_features.any(axis=1), dataset.text_features.any(axis=1)
    complete = np.logical_and(*sides_present)
    if seed is not None:
        return _ten_thousand(dataset.subset(complete), int(seed[1]))
    if protocol == "21":
        counts = dataset.labels[complete].sum(axis=0)
        frequent = np.sort(np.argsort(-counts, kind="stable")[:21])
        names = tuple(concepts[place] for place in frequent)
        dataset = replace(dataset, labels=dataset.labels[:, frequent], classes=names)
    return dataset.subset(complete & dataset.labelled)


def _shares(rows: FloatArray) -> FloatArray:
    shares: FloatArray = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)
    return shares


def _ten_thousand(dataset: FeatureDataset, seed: int) -> FeatureDataset:
    """Draw equally many items of each class from the items with exactly one class."""
    generator = np.random.default_rng(seed)
    rows, splits = [], []
    labels = dataset.single_labels
    for label in range(len(dataset.classes)):
        members = generator.permutation(np.flatnonzero(labels == label))
        chosen = members[: sum(_OF_TEN.values())]
        rows.append(chosen)
        splits.append(np.repeat(list(_OF_TEN), list(_OF_TEN.values()))[: len(chosen)])
    drawn = dataset.subset(np.concatenate(rows))
    return replace(drawn, labels=drawn.single_labels, splits=np.concatenate(splits))
