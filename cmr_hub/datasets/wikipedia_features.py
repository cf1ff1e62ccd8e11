"""The features that Rasiwasia et al. published with the Wikipedia dataset (see `wikipedia`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmr_hub.datasets import wikipedia
from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.location import find_dataset
from cmr_hub.errors import DataFormatError, UnknownNameError
from cmr_hub.types import FloatArray

NAME = "wikipedia-features"
TEXT_FEATURES = {"lda": ("raw_features.mat", "T"), "tfidf": ("raw_features_tfidf.mat", "T_tfidf")}
"""Name → (file, prefix of the variables `<prefix>_tr` and `<prefix>_te`)."""


def read(
    root: str | Path | None = None, protocol: str = "2173/693", text: str = "lda"
) -> FeatureDataset:
    """Reads the features from `root` or `$CMR_DATA_HOME/wikipedia`.

    Image rows are bags of 128 SIFT words; text rows are 10 LDA topics (`text="lda"`) or 1000
    TF-IDF weights (`text="tfidf"`). Rows come in the order of the lists, whose text ids name them.

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
    """The matrices of a MATLAB file; `_tr` and `_te` of one kind are equally wide."""
    from scipy.io import loadmat, whosmat

    try:
        shapes = {name: shape for name, shape, _ in whosmat(path)}
        # Shapes are known before anything is unpacked.
        _check_shapes(path, variables, shapes)
        found = loadmat(path, variable_names=variables)
    except DataFormatError:
        raise
    except Exception as error:  # scipy raises nearly every kind on damaged input
        raise DataFormatError(f"cannot read {path} as a MATLAB file: {error}") from error
    return [_checked(path, name, found[name]) for name in variables]


def _check_shapes(
    path: Path, variables: tuple[str, ...], shapes: dict[str, tuple[int, ...]]
) -> None:
    missing = [name for name in variables if name not in shapes]
    if missing:
        raise DataFormatError(f"{path} has no {', '.join(missing)}; it has {', '.join(shapes)}")
    for train, test in (variables[:2], variables[2:]):
        width = shapes[train][-1]
        expected = ((wikipedia.TRAIN_SIZE, width), (wikipedia.TEST_SIZE, width))
        if (shapes[train], shapes[test]) != expected or not width:
            raise DataFormatError(
                f"{path}: {train} and {test} should be {wikipedia.TRAIN_SIZE} and "
                f"{wikipedia.TEST_SIZE} rows of equal width, not {shapes[train]} and {shapes[test]}"
            )


def _checked(path: Path, name: str, matrix: npt.NDArray[np.generic]) -> FloatArray:
    if not isinstance(matrix, np.ndarray) or matrix.dtype.kind not in "fiu":
        raise DataFormatError(f"{path}: {name} is not a matrix of real numbers")
    rows = matrix.astype(np.float32)
    if not np.isfinite(rows).all():
        raise DataFormatError(f"{path}: {name} has values that are not finite")
    return rows
