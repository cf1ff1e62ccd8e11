"""Features that Rasiwasia et al. published with the Wikipedia dataset (see `wikipedia`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cmr_hub.datasets import wikipedia
from cmr_hub.datasets.features import FeatureDataset, feature_rows
from cmr_hub.datasets.location import find_dataset
from cmr_hub.datasets.matlab import MatlabFile
from cmr_hub.errors import DataFormatError, UnknownNameError
from cmr_hub.types import FloatArray

NAME = "wikipedia-features"
TEXT_FEATURES = {"lda": ("raw_features.mat", "T"), "tfidf": ("raw_features_tfidf.mat", "T_tfidf")}
"""Name → (file, prefix of the variables `<prefix>_tr` and `<prefix>_te`)."""
_MOST_BYTES = 2**28


def read(
    root: str | Path | None = None, protocol: str = "2173/693", text: str = "lda"
) -> FeatureDataset:
    """Read the features from `root` or `$CMR_DATA_HOME/wikipedia`.

    Image rows are bags of 128 SIFT words; text rows are 10 LDA topics (`text="lda"`) or 1000
    TF-IDF weights (`text="tfidf"`). Rows and ids are in the order of the lists.

    Raises DataNotFoundError, DataFormatError and UnknownNameError.
    """
    splits = wikipedia.protocol_splits(protocol)
    if text not in TEXT_FEATURES:
        raise UnknownNameError("text features of wikipedia", text, list(TEXT_FEATURES))
    file, prefix = TEXT_FEATURES[text]
    base = find_dataset(
        NAME,
        wikipedia.NAME,
        root,
        layout=f"{file}, {', '.join(wikipedia.LISTS)}",
        home_page=wikipedia.HOME_PAGE,
        required=(file, *wikipedia.LISTS),
    )
    lists = wikipedia.read_lists(base)
    variables = ("I_tr", "I_te", f"{prefix}_tr", f"{prefix}_te")
    image_train, image_test, text_train, text_test = _read_matrices(base / file, variables)
    return FeatureDataset(
        name=NAME,
        protocol=protocol,
        ids=lists.texts,
        image_features=np.concatenate([image_train, image_test]),
        text_features=np.concatenate([text_train, text_test]),
        labels=lists.labels,
        classes=lists.classes,
        splits=splits,
    )


def _read_matrices(path: Path, variables: tuple[str, ...]) -> list[FloatArray]:
    """Return the training and test matrices of images and of texts from a MATLAB file."""
    matlab = MatlabFile(path, _MOST_BYTES)
    matlab.check(variables)
    for train, test in (variables[:2], variables[2:]):
        shapes = matlab.shapes[train], matlab.shapes[test]
        width = shapes[0][-1]
        if shapes != ((wikipedia.TRAIN_SIZE, width), (wikipedia.TEST_SIZE, width)) or not width:
            raise DataFormatError(
                f"{path}: {train} and {test} should be {wikipedia.TRAIN_SIZE} and "
                f"{wikipedia.TEST_SIZE} rows of equal width, not {shapes[0]} and {shapes[1]}"
            )
    return [
        feature_rows(f"{path}: {name}", rows)
        for name, rows in zip(variables, matlab.load(variables), strict=True)
    ]
