"""Download datasets from the Hugging Face Hub as folders of pictures."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from cmr_hub.atomic import atomic_directory, storing
from cmr_hub.cache_home import default_cache_home
from cmr_hub.datasets.metadata import IMAGE_ENDINGS
from cmr_hub.datasets.parquet import ParquetTable
from cmr_hub.errors import DataFormatError
from cmr_hub.hub_errors import hub_errors, with_retries

logger = logging.getLogger(__name__)

_REVISION = ".revision"
_ROWS = 256
_OWN = ".cache"  # records of huggingface_hub about its downloads


def fetch_dataset(name: str) -> Path:
    """Download a dataset repository to the cache, or update the cached files.

    Pictures in Parquet files, as in most datasets on the Hub, are written to files. All revisions
    share one folder, so that a gallery can be updated to another revision.

    Args:
        name: `owner/name`, or `owner/name@revision` for a branch, tag or commit.

    Returns:
        The folder of the pictures.

    Raises:
        HubError: the dataset or revision does not exist, or the Hub cannot be reached.
        DataFormatError: a Parquet file is damaged.
    """
    from huggingface_hub import HfApi, snapshot_download

    repository, _, revision = name.partition("@")
    home = default_cache_home() / "hub"
    folder = home / repository.replace("/", "--")
    with hub_errors(name):
        info = with_retries(lambda: HfApi().dataset_info(repository, revision=revision or None))
        with_retries(
            lambda: snapshot_download(
                repository, repo_type="dataset", revision=info.sha, local_dir=folder
            )
        )
    _remove_others(folder, {sibling.rfilename for sibling in info.siblings or ()})
    return unpack_pictures(folder, folder.with_name(f"{folder.name}.pictures"), str(info.sha))


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove the files of other revisions."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        name = path.relative_to(folder)
        if name.parts[0] != _OWN and name.as_posix() not in names:
            path.unlink()
    for path in folder.iterdir():
        if path.is_dir() and path.name != _OWN and not any(p.is_file() for p in path.rglob("*")):
            shutil.rmtree(path)


def unpack_pictures(folder: Path, target: Path, revision: str) -> Path:
    """Write the pictures of all Parquet files of a dataset as an ImageFolder.

    Pictures are in the first column of structs with `bytes` and `path`, the format of the library
    `datasets`. Class numbers are replaced by class names.

    Args:
        folder: folder of the dataset.
        target: folder for the pictures, e.g. `data/train-0/0000017.jpg` from
            `data/train-0.parquet`.
        revision: revision of the dataset. Pictures of the same revision are not written again.

    Returns:
        `target`, or `folder` if no Parquet file has pictures.

    Raises:
        DataFormatError: a Parquet file is damaged.
    """
    files = {
        path: column for path in sorted(folder.rglob("*.parquet")) if (column := _column(path))
    }
    if not files:
        return folder
    stored = target / _REVISION
    if stored.is_file() and stored.read_text(encoding="utf-8") == revision:
        return target
    total = sum(_opened(path).count for path in files)
    with (
        atomic_directory(target) as fresh,
        tqdm(total=total, desc="unpacking", unit="image", disable=None) as bar,
    ):
        for path, column in files.items():
            own = fresh / path.relative_to(folder).with_suffix("")
            own.mkdir(parents=True)
            with (own / "metadata.jsonl").open("w", encoding="utf-8") as metadata:
                for record in _unpacked(path, column, own):
                    metadata.write(json.dumps(record, default=str) + "\n")
                    bar.update()
        (fresh / _REVISION).write_text(revision, encoding="utf-8")
    return target


def _unpacked(path: Path, column: str, own: Path) -> Iterator[dict[str, Any]]:
    """Write the pictures of one file; yield their metadata records."""
    number = 0
    file = _opened(path)
    names = _class_names(file.schema)
    others = [field.name for field in file.schema if field.name != column and _is_data(field.type)]
    if others:
        logger.warning("%s: columns with bytes are skipped: %s", path.name, others)
    try:
        for record in file.records(_ROWS):
            picture = record.pop(column) or {}
            for other in others:
                del record[other]
            data = picture.get("bytes")
            name = f"{number:07}{_ending(picture)}"
            number += 1
            if not data:
                continue
            with storing(own / name):  # so that a full disk is not reported as a damaged file
                (own / name).write_bytes(data)
            yield {"file_name": name, **_named(record, names)}
    except (OSError, ValueError) as error:
        raise DataFormatError(f"{path} is damaged: {error}") from error


def _opened(path: Path) -> ParquetTable:
    try:
        return ParquetTable(path)
    except OSError as error:
        raise DataFormatError(f"{path} is damaged: {error}") from error


def _column(path: Path) -> str | None:
    """Return the name of the first column of pictures in a Parquet file."""
    for field in _opened(path).schema:
        if pa.types.is_struct(field.type) and _is_picture(field.type):
            return str(field.name)
    return None


def _is_picture(kind: pa.StructType) -> bool:
    """Return whether a struct has binary `bytes` and a `path`, which may be of type null."""
    kinds = {field.name: field.type for field in kind}
    if not {"bytes", "path"} <= kinds.keys():
        return False
    path = kinds["path"]
    is_path = pa.types.is_string(path) or pa.types.is_large_string(path) or pa.types.is_null(path)
    return _is_data(kinds["bytes"]) and bool(is_path)


def _is_data(kind: pa.DataType) -> bool:
    """Return whether values of a type are bytes or contain bytes."""
    if pa.types.is_nested(kind):
        return any(_is_data(kind.field(number).type) for number in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the class names of each column with class numbers."""
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = metadata["info"]["features"]
        return {
            name: list(feature["names"])
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # not written by the library `datasets`


def _named(record: Mapping[str, Any], names: Mapping[str, list[str]]) -> dict[str, Any]:
    named = dict(record)
    for name, classes in names.items():
        value = record.get(name)
        if isinstance(value, int) and 0 <= value < len(classes):
            named[name] = classes[value]
    return named


def _ending(picture: Mapping[str, Any]) -> str:
    """Return the extension of a picture, or .jpg, because formats are detected by content."""
    ending = PurePosixPath(picture.get("path") or "").suffix.lower()
    return ending if ending in IMAGE_ENDINGS else ".jpg"
