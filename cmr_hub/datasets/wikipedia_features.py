"""Features that Rasiwasia et al. published with the Wikipedia dataset (see `wikipedia`)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmr_hub.datasets import wikipedia
from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.location import find_dataset
from cmr_hub.errors import DataFormatError, UnknownNameError
from cmr_hub.outside import read_bytes
from cmr_hub.types import FloatArray

NAME = "wikipedia-features"
TEXT_FEATURES = {"lda": ("raw_features.mat", "T"), "tfidf": ("raw_features_tfidf.mat", "T_tfidf")}
"""Name → (file, prefix of the variables `<prefix>_tr` and `<prefix>_te`)."""
_MOST_BYTES = 2**28
_PIECE = 2**20
_COMPRESSED = 15
_KINDS = (
    "double",
    "single",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)


def read(
    root: str | Path | None = None, protocol: str = "2173/693", text: str = "lda"
) -> FeatureDataset:
    """Read the features from `root` or `$CMR_DATA_HOME/wikipedia`.

    Image rows are bags of 128 SIFT words; text rows are 10 LDA topics (`text="lda"`) or 1000
    TF-IDF weights (`text="tfidf"`). Rows are in the order of the lists, whose text ids are the ids.

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
    """Return the matrices of a MATLAB file; `_tr` and `_te` of one kind have equal width."""
    from scipy.io import loadmat, whosmat

    try:
        data = read_bytes(path, _MOST_BYTES)
        _refuse_bomb(data)
        there = whosmat(BytesIO(data))
        # Check types and shapes before anything is created from the file.
        _check_kinds(path, variables, there)
        _check_shapes(path, variables, {name: shape for name, shape, _ in there})
        found = loadmat(BytesIO(data), variable_names=variables)
    except DataFormatError:
        raise
    except Exception as error:  # scipy raises nearly every exception on damaged input
        raise DataFormatError(f"cannot read {path} as a MATLAB file: {error}") from error
    return [_checked(path, name, found[name]) for name in variables]


def _refuse_bomb(data: bytes) -> None:
    """Raise ValueError if the compressed parts of the file unpack to too many bytes."""
    order = "<" if data[126:128] == b"IM" else ">"
    at, unpacked = 128, 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from(f"{order}2I", data, at)
        at += 8
        if kind == _COMPRESSED:
            for size in _unpacked_sizes(data[at : at + length]):
                unpacked += size
                if unpacked > _MOST_BYTES:
                    raise ValueError(f"it unpacks to more than {_MOST_BYTES:,} bytes")
        at += length


def _unpacked_sizes(data: bytes) -> Iterator[int]:
    unpack = zlib.decompressobj()
    try:
        while data and not unpack.eof:
            yield len(unpack.decompress(data, _PIECE))
            data = unpack.unconsumed_tail
    except zlib.error:
        return  # reading the file reports it


def _check_kinds(
    path: Path, variables: tuple[str, ...], there: list[tuple[str, tuple[int, ...], str]]
) -> None:
    names = [name for name, _, _ in there]
    missing = [name for name in variables if name not in names]
    if missing:
        raise DataFormatError(f"{path} has no {', '.join(missing)}; it has {', '.join(names)}")
    if len(set(names)) < len(names):
        raise DataFormatError(f"{path} has a matrix twice")
    # A cell may contain cells that contain cells, deeper than any stack.
    for name, _, kind in there:
        if name in variables and kind not in _KINDS:
            raise DataFormatError(f"{path}: {name} is not a matrix of real numbers but {kind}")


def _check_shapes(
    path: Path, variables: tuple[str, ...], shapes: dict[str, tuple[int, ...]]
) -> None:
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
