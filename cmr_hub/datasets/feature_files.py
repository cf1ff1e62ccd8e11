"""Read features, labels and splits from a file or a folder, in formats that researchers share."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cmr_hub.datasets.features import FeatureDataset, feature_rows, label_column
from cmr_hub.datasets.matlab import MatlabFile
from cmr_hub.datasets.parquet import ParquetTable
from cmr_hub.datasets.protocols import SPLITS
from cmr_hub.errors import DataFormatError, DataNotFoundError, UnknownNameError
from cmr_hub.outside import check_file

NAME = "features"
PROTOCOL = "arrays"
ENDINGS = (".npz", ".npy", ".mat", ".h5", ".hdf5", ".h5py", ".parquet")
NAMES: dict[str, tuple[str, ...]] = {
    "images": (
        *("images", "image", "imgs", "img", "i", "image features", "image feats", "image fea"),
        *("img features", "img feats", "img fea", "imgs deep", "i cnn", "f", "x", "v", "visual"),
    ),
    "texts": (
        *("texts", "text", "txts", "txt", "t", "text features", "text feats", "text fea"),
        *("txt features", "txt feats", "txt fea", "texts doc", "t bow", "t tfidf", "t lda"),
        *("tags", "tag", "sentences", "captions", "y"),
    ),
    "labels": (
        *("labels", "label", "labs", "lab", "l", "imgs labels", "img labels", "image labels"),
        *("img lab", "img cat", "cat", "categories", "category", "gnd", "y"),
    ),
    "ids": ("ids", "id"),
    "split": ("split", "splits"),
}
"""Usual names of arrays, in lower case and without the words for a split. The first existing one is
read. `y` means tags if there is `l`, and class labels if there are texts."""
_WORDS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "te", "query"), "test"),
    "all": "",
}
"""Words in the name of an array that denote its split."""
_MOST_BYTES = 2**34


@dataclass(frozen=True)
class _Arrays:
    """Named arrays, which are read on demand."""

    names: tuple[str, ...]
    read: Callable[[str], npt.NDArray[Any]]


def read(root: str | Path | None = None, protocol: str = PROTOCOL) -> FeatureDataset:
    """Read features from the file `root`, or from all such files in the folder `root`.

    The file is `.npz`, `.mat` (version 7.3 requires `h5py`), `.h5` or `.parquet`; a folder may also
    contain one `.npy` file for each array. Nothing is unpickled. Row i of every array belongs to
    item i:

        images, texts: (N, Di) and (N, Dt) numbers. labels: see `label_column`; optional.
        split: N names: train, validation (val, dev) or test; optional. ids: N names; optional.

    The arrays are found by these names and other usual ones (`NAMES`): `I_tr` and `T_te`,
    `image_features`, `trImgCat`, `train_imgs_deep`, `IAll`/`YAll`/`LAll`, `ImgQuery`/`TagQuery`.
    Instead of `split`, each array may come in parts whose names contain the split: `tr`, `train`,
    `val`, `valid`, `te`, `test`, `query`. Parts called `database` or `retrieval`, which repeat the
    training pairs, are not read.

    Args:
        root: The file or folder.
        protocol: "arrays", or which arrays to read: "images=A,texts=B,labels=C,split=D", with
            parts as "images.train=A,images.test=B".

    Raises:
        DataNotFoundError: The file does not exist.
        UnknownNameError: The protocol has neither form.
        DataFormatError: The file cannot be read, or arrays are missing or do not match; the message
            lists the existing arrays.
    """
    if root is None:
        raise DataNotFoundError(f"{NAME} are read from a file or folder: pass it as root (--root)")
    path = Path(root).expanduser().absolute()
    if not path.exists():
        raise DataNotFoundError(f"{path} does not exist: pass a file or a folder of features")
    arrays = _folder(path) if path.is_dir() else _file(path)
    if protocol == PROTOCOL:
        chosen = _usual(arrays.names)
    elif "=" in protocol:
        chosen = _named(protocol)
    else:
        known = [PROTOCOL, "images=A,texts=B,labels=C,split=D"]
        raise UnknownNameError(f"protocol of {NAME}", protocol, known)
    _check_names(path, protocol, chosen, arrays.names)
    parts = [""]
    if "images" not in chosen:
        parts = [split for split in SPLITS if f"images.{split}" in chosen]

    def parted(role: str) -> list[npt.NDArray[Any]] | None:
        keys = [f"{role}.{split}" if split else role for split in parts]
        if not any(key in chosen for key in keys):
            return None
        if missing := [key for key in keys if key not in chosen]:
            raise _wrong(path, f"there are no {' and no '.join(missing)}", arrays.names)
        return [arrays.read(chosen[key]) for key in keys]

    images, texts, labels = parted("images"), parted("texts"), parted("labels")
    if images is None or texts is None:
        raise _wrong(path, "there are no texts for the images", arrays.names)
    image_rows, text_rows = (
        feature_rows("images", _joined(images)),
        feature_rows("texts", _joined(texts)),
    )
    lengths = [len(part) for part in images]
    if lengths != [len(part) for part in texts]:
        raise _wrong(
            path,
            f"row i of the images and of the texts belong together, but there are {lengths} and "
            f"{[len(part) for part in texts]}",
            arrays.names,
        )
    count = len(image_rows)
    column = np.full(count, -1) if labels is None else _joined([_column(part) for part in labels])
    numbers, classes = label_column(column, count)
    splits = np.repeat([split or "train" for split in parts], lengths)
    if parts == [""] and "split" in chosen:
        splits = _splits(path, _column(arrays.read(chosen["split"])), count)
    ids = tuple(map(str, range(count)))
    if "ids" in chosen:
        ids = tuple(map(str, _text(_column(arrays.read(chosen["ids"])))))
    return FeatureDataset(
        name=NAME,
        protocol=protocol,
        ids=ids,
        labels=numbers,
        classes=classes,
        splits=splits,
        image_features=image_rows,
        text_features=text_rows,
    )


def _joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    try:
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
    except ValueError as error:
        shapes = [part.shape for part in parts]
        raise DataFormatError(f"the parts of an array differ in width: {shapes}") from error


def _column(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array with one row per item; MATLAB stores columns as (1, N) or (N, 1)."""
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array


def _text(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.char.decode(column, "utf-8", "replace") if column.dtype.kind == "S" else column


def _splits(path: Path, column: npt.NDArray[Any], count: int) -> npt.NDArray[np.str_]:
    words = [str(word).strip().lower() for word in _text(column)]
    splits = [_WORDS.get(word, "") for word in words]
    if len(splits) != count or not all(splits):
        strange = next((word for word, split in zip(words, splits, strict=True) if not split), "")
        raise DataFormatError(
            f"{path}: the split must be {count} words, each train, validation or test; there are "
            f"{len(splits)}{f', including {strange!r}' if strange else ''}"
        )
    return np.array(splits)


def _named(protocol: str) -> dict[str, str]:
    """Return the array of each role that a protocol names."""
    pairs = (part.partition("=") for part in protocol.split(","))
    return {role.strip(): array.strip() for role, _, array in pairs}


def _usual(names: tuple[str, ...]) -> dict[str, str]:
    """Return the array of each role by the usual names."""
    by_words: dict[tuple[str, str], str] = {}
    for name in names:
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
        lower = [word.lower() for word in words]
        split = next((_WORDS[word] for word in lower if word in _WORDS), "")
        rest = " ".join(word for word in lower if word not in _WORDS)
        by_words.setdefault((rest, split), name)
    chosen: dict[str, str] = {}
    for role, usual in NAMES.items():
        for split in ("", *SPLITS):
            names_found = (by_words.get((name, split)) for name in usual)
            array = next((n for n in names_found if n and n not in chosen.values()), None)
            if array is not None:
                chosen[f"{role}.{split}" if split else role] = array
    return chosen


def _check_names(
    path: Path, protocol: str, chosen: Mapping[str, str], names: tuple[str, ...]
) -> None:
    allowed = [f"{role}{part}" for role in NAMES for part in ("", *(f".{one}" for one in SPLITS))]
    if protocol != PROTOCOL and (strange := [role for role in chosen if role not in allowed]):
        raise _wrong(path, f"{', '.join(strange)} is none of {', '.join(NAMES)}", names)
    if missing := [name for name in chosen.values() if name not in names]:
        raise _wrong(path, f"there is no array {', '.join(missing)}", names)
    if not any(role.split(".")[0] == "images" for role in chosen):
        raise _wrong(path, "no array has a usual name of image features", names)


def _wrong(path: Path, reason: str, names: tuple[str, ...]) -> DataFormatError:
    return DataFormatError(
        f"{path}: {reason}. Its arrays: {', '.join(names) or 'none'}. Name them images, texts, "
        "labels and split, or assign them: --protocol images=A,texts=B,labels=C,split=D "
        "(with parts: images.train=A,images.test=B, ...)"
    )


def _folder(path: Path) -> _Arrays:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in ENDINGS)
    opened: dict[str, Callable[[str], npt.NDArray[Any]]] = {}
    for file in files:
        if file.suffix.lower() == ".npy":
            opened[file.stem] = partial(_loaded, file, _numpy(file))
        else:
            arrays = _file(file)
            opened |= dict.fromkeys(arrays.names, arrays.read)
    if not opened:
        raise DataNotFoundError(f"{path} contains no file of {', '.join(ENDINGS)}")
    return _Arrays(tuple(opened), lambda name: opened[name](name))


def _file(path: Path) -> _Arrays:
    ending = path.suffix.lower()
    if ending == ".npy":
        raise DataFormatError(
            f"{path} contains one array: pass its folder, with images.npy, texts.npy, labels.npy"
        )
    if ending not in ENDINGS:
        raise DataFormatError(
            f"{path} is none of {', '.join(ENDINGS)}: pass a file in one of these formats"
        )
    try:
        check_file(path, _MOST_BYTES)
        with path.open("rb") as file:
            start = file.read(20)
        is_hdf5 = b"HDF" in start[:8] or ending not in (".npz", ".mat", ".parquet")
        is_hdf5 |= ending == ".mat" and start.startswith(b"MATLAB 7.3")
    except OSError as error:
        raise DataFormatError(f"{path} cannot be read: {error}") from error
    if is_hdf5:
        return _hdf5(path, transposed=ending == ".mat")
    if ending == ".mat":
        matlab = MatlabFile(path, _MOST_BYTES)
        return _Arrays(tuple(matlab.shapes), lambda name: matlab.load([name])[0])
    if ending == ".parquet":
        return _parquet(path)
    archive = _numpy(path)
    return _Arrays(tuple(archive), lambda name: _loaded(path, archive, name))


def _numpy(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False, mmap_mode="r" if path.suffix == ".npy" else None)
    except Exception as error:  # numpy and zipfile raise many kinds on damaged input
        raise DataFormatError(f"{path} cannot be read: {error}") from error


def _loaded(path: Path, source: Any, name: str) -> npt.NDArray[Any]:
    try:
        array = np.asarray(source if isinstance(source, np.ndarray) else source[name])
    except Exception as error:  # as above; a pickled array is a ValueError that says so
        raise DataFormatError(f"{path}: {name} cannot be read: {error}") from error
    if array.dtype.kind == "U" and array.size:
        codes = np.dtype("u4").newbyteorder(array.dtype.byteorder)
        if np.ascontiguousarray(array).view(codes).max(initial=0) > sys.maxunicode:
            raise DataFormatError(f"{path}: {name} has characters that do not exist")
    return array


def _hdf5(path: Path, *, transposed: bool) -> _Arrays:
    try:
        import h5py
    except ImportError as error:
        raise DataFormatError(
            f"{path} is an HDF5 file (as MATLAB writes with -v7.3), which requires h5py: "
            "pip install h5py"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            names = tuple(_datasets(file))
    except OSError as error:
        raise DataFormatError(f"{path} cannot be read: {error}") from error

    def read_one(name: str) -> npt.NDArray[Any]:
        try:
            with h5py.File(path, "r") as file:
                array = np.asarray(file[name][()])
        except Exception as error:  # h5py raises many kinds on damaged input
            raise DataFormatError(f"{path}: {name} cannot be read: {error}") from error
        return array.T if transposed else array

    return _Arrays(names, read_one)


def _datasets(file: Any) -> list[str]:
    """Return the names of all arrays, including those in groups; external links are ignored."""
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
    return names


def _parquet(path: Path) -> _Arrays:
    try:
        table = ParquetTable(path).table()
    except OSError as error:
        raise DataFormatError(f"{path} cannot be read: {error}") from error

    def read_one(name: str) -> npt.NDArray[Any]:
        values = table.column(name).to_numpy()
        first = values[0] if len(values) else None
        if isinstance(first, np.ndarray) and first.dtype.kind in "fiub":
            try:
                return np.stack(values)
            except ValueError as error:
                raise DataFormatError(f"{path}: rows of {name} differ in length") from error
        return np.asarray(values)

    return _Arrays(tuple(table.column_names), read_one)
