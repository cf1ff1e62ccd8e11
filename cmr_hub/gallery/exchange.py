"""Export a gallery for other programs, and import vectors that they computed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cmr_hub.atomic import atomic_directory, atomic_file
from cmr_hub.datasets.metadata import is_clean
from cmr_hub.datasets.parquet import ParquetTable
from cmr_hub.datasets.tables import TEXT_KEYS
from cmr_hub.errors import CMRError, DataFormatError, QueryError, known_names, shown
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import COLUMNS, MODALITY
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.manifest import holds_gallery
from cmr_hub.gallery.vectors import VectorColumn
from cmr_hub.gallery.where import Where
from cmr_hub.outside import check_file, read_bytes
from cmr_hub.paths import absolute

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.gallery.segment import Segment
    from cmr_hub.gallery.store import Store
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import FloatArray, Modality

_Read: TypeAlias = "tuple[dict[str, Any], dict[Modality, VectorColumn]]"

FORMATS: Final = ("parquet", "csv", "npz", "fiftyone", "lance")
VECTORS: Final[Mapping[Modality, str]] = {"image": "image_vector", "text": "text_vector"}
"""Name of the vector column of each modality. A cell is null if the item has no vector."""
OTHER_NAMES: Final = ("vector", "vectors", "embedding", "embeddings", "image_vectors")
"""Names of the column of image vectors in LanceDB and other programs."""
_ROWS: Final = 8_192
_MOST_SHOWN: Final = 3


def export_gallery(
    store: Store, out: str | Path, format: str | None = None, *, where: str | None = None
) -> int:
    """Write the items of a gallery with their vectors to a file or a folder, atomically.

    Args:
        store: storage of the gallery.
        out: the file, or for FiftyOne and LanceDB a new folder.
        format: one of `FORMATS`. Default: the extension of `out`.
            parquet: a table of the items' columns and the columns `VECTORS`, lists of float32.
            csv: the same table with lists as JSON text.
            npz: `ids`, `paths`, `labels`, `sentences` (JSON text), and for each modality the
                vectors and their row numbers, for example `image_vectors` and `image_rows`.
            fiftyone: for `fiftyone.Dataset.from_dir(…, fiftyone.types.FiftyOneDataset)`. The
                pictures are not copied; items without a picture are omitted.
            lance: a LanceDB table, NAME.lance; needs the package pylance.
        where: a condition on the columns; see `Gallery.search`.

    Returns:
        The number of items.

    Raises:
        QueryError: the format or a column of the condition is unknown, or the folder exists.
        CMRError: pylance is not installed.
        StorageError: the disk is full or read-only.
    """
    out = Path(out)
    chosen = format or out.suffix.lower().removeprefix(".")
    if chosen not in FORMATS:
        raise QueryError(
            f"unknown format {shown(chosen)}; choose one with --format: "
            f"{known_names(chosen, FORMATS)}"
        )
    if chosen in ("fiftyone", "lance") and out.exists():
        raise QueryError(f"{out} already exists; choose the name of a new folder")
    table = store.table(None if where is None else Where(where))
    if taken := set(VECTORS.values()) & set(table.column_names):
        raise QueryError(f"the gallery already has a column {min(taken)}; rename it first")
    parts = _parts(store, table)
    write = {"parquet": _parquet, "csv": _csv, "npz": _npz, "fiftyone": _fiftyone, "lance": _lance}
    write[chosen](out, _schema(store, table), parts)
    return len(table)


def import_vectors(
    source: str | Path,
    out: str | Path,
    model: CrossModalModel,
    *,
    ids: str | Path | None = None,
    model_name: str | None = None,
) -> Gallery:
    """Create a gallery from vectors that another program computed with the same model.

    Vectors are normalised to unit length, which does not change cosine similarities.

    Args:
        source: a Parquet file, a LanceDB table (NAME.lance) or an .npz file in the format of
            `export_gallery`; or an .npy file with one vector per row. A column with one of
            `OTHER_NAMES` has image vectors.
        out: a new directory for the gallery.
        model: the model that made the vectors.
        ids: a file with one id per line, for an .npy file.
        model_name: the name under which `cmr_hub.load` finds the model.

    Raises:
        DataFormatError: the file cannot be read, or has no ids or no vectors; a vector is zero, not
            finite, or differs from the model in its dimension; or ids are missing or not unique.
        ModelFormatError: a gallery does not support a column, or `out` is not empty.
    """
    source, out = Path(source), Path(out)
    if holds_gallery(out):
        raise QueryError(f"{out} is already a gallery; choose the name of a new directory")
    read = {".parquet": _read_parquet, ".lance": _read_lance, ".npz": _read_npz, ".npy": _read_npy}
    if source.suffix.lower() not in read:
        raise DataFormatError(
            f"{source} cannot be imported: its extension is none of {', '.join(read)}"
        )
    try:
        columns, vectors = read[source.suffix.lower()](source, None if ids is None else Path(ids))
        found = {name: _checked(name, one, model.dim) for name, one in vectors.items()}
        table = _items(columns, source.absolute().parent)
    except (OSError, DataFormatError) as error:
        raise DataFormatError(f"{source} cannot be imported: {error}") from error
    if not any(map(len, found.values())):
        names = ", ".join((*VECTORS.values(), *OTHER_NAMES))
        raise DataFormatError(f"{source} has no vectors: none of its columns is called {names}")
    store = LocalStore(model.fingerprint, model_name)
    Gallery(store, model).add_vectors(
        table, image_embeddings=found.get("image"), text_embeddings=found.get("text")
    )
    store.save(out)
    return Gallery.open(out, model)


# ---- writing


def _schema(store: Store, table: pa.Table) -> pa.Schema:
    schema = table.schema.remove_metadata()
    for name in store.targets:
        schema = schema.append(pa.field(VECTORS[name], pa.list_(pa.float32(), store.dim)))
    return schema


def _parts(store: Store, table: pa.Table) -> Iterator[tuple[pa.Table, Segment]]:
    """Yield the items in parts, with their vectors in the same order."""
    for start in range(0, len(table), _ROWS):
        part = table.slice(start, _ROWS).combine_chunks()
        rows = store.rows(part.column("id").to_pylist())
        order = pc.index_in(part.column("id"), value_set=rows.items.column("id").combine_chunks())
        yield part, rows.take(order.to_numpy())


def _batches(
    schema: pa.Schema, parts: Iterator[tuple[pa.Table, Segment]]
) -> Iterator[pa.RecordBatch]:
    for part, rows in parts:
        columns = part.columns
        for field in list(schema)[len(columns) :]:
            columns.append(_vector_column(rows, field))
        yield from pa.table(columns, schema=schema).combine_chunks().to_batches()


def _vector_column(rows: Segment, field: pa.Field) -> pa.Array:
    values = np.zeros((len(rows), field.type.list_size), np.float32)
    is_missing = np.ones(len(rows), dtype=bool)
    (modality,) = (name for name, vectors in VECTORS.items() if vectors == field.name)
    column = rows.vectors.get(modality)
    if column is not None:
        values[column.rows], is_missing[column.rows] = column.matrix, False
    flat = pa.array(values.ravel())
    return pa.FixedSizeListArray.from_arrays(flat, type=field.type, mask=pa.array(is_missing))


def _parquet(out: Path, schema: pa.Schema, parts: Iterator[tuple[pa.Table, Segment]]) -> None:
    import pyarrow.parquet as pq

    with atomic_file(out) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in _batches(schema, parts):
            writer.write_batch(batch)


def _csv(out: Path, schema: pa.Schema, parts: Iterator[tuple[pa.Table, Segment]]) -> None:
    from pyarrow.csv import CSVWriter

    flat = pa.schema(
        [
            field.with_type(pa.string()) if pa.types.is_nested(field.type) else field
            for field in schema
        ]
    )
    with atomic_file(out) as file, CSVWriter(file, flat) as writer:
        for batch in _batches(schema, parts):
            columns = [_as_text(column) for column in batch.columns]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=flat))


def _as_text(column: pa.Array) -> pa.Array:
    """Convert a column of lists to JSON text; return other columns unchanged."""
    if not pa.types.is_nested(column.type):
        return column
    if pa.types.is_fixed_size_list(column.type):
        numbers = column.cast(pa.list_(pa.float32())).cast(pa.list_(pa.string()))
        joined = pc.binary_join(numbers, ", ")
        return pc.binary_join_element_wise(pa.scalar("["), joined, pa.scalar("]"), "")
    texts = [
        None if value is None else json.dumps(value, ensure_ascii=False, default=str)
        for value in column.to_pylist()
    ]
    return pa.array(texts, pa.string())


def _npz(out: Path, schema: pa.Schema, parts: Iterator[tuple[pa.Table, Segment]]) -> None:
    every = list(parts)
    items = pa.concat_tables([part for part, _ in every]) if every else schema.empty_table()
    arrays = {
        f"{name}s": np.array(["" if one is None else one for one in column], dtype=np.str_)
        for name in ("id", "path", "label")
        for column in [items.column(name).to_pylist()]
    }
    sentences = items.column("sentences").to_pylist()
    arrays["sentences"] = np.array([json.dumps(one or []) for one in sentences], dtype=np.str_)
    starts = np.cumsum([0, *(len(part) for part, _ in every)])
    for name in VECTORS:
        columns = [
            rows.vectors[name].moved(int(start))
            for (_, rows), start in zip(every, starts, strict=False)
            if name in rows.vectors
        ]
        if columns:
            arrays[f"{name}_vectors"] = np.concatenate([column.matrix for column in columns])
            arrays[f"{name}_rows"] = np.concatenate([column.rows for column in columns])
    with atomic_file(out) as file, file.open("wb") as target:
        np.savez(target, **arrays)  # type: ignore[arg-type]


def _fiftyone(out: Path, schema: pa.Schema, parts: Iterator[tuple[pa.Table, Segment]]) -> None:
    with atomic_directory(out) as fresh:
        info = {"media_type": "image", "info": {"made_by": "CMR Hub"}}
        (fresh / "metadata.json").write_text(json.dumps(info), encoding="utf-8")
        with (fresh / "samples.json").open("w", encoding="utf-8") as file:
            file.write('{"samples": [')
            separator = ""
            for batch in _batches(schema, parts):
                for item in batch.to_pylist():
                    if item["path"] is not None:
                        file.write(separator + json.dumps(_sample(item), default=str))
                        separator = ",\n"
            file.write("]}\n")


def _sample(item: Mapping[str, Any]) -> dict[str, Any]:
    """Convert an item to a FiftyOne sample. FiftyOne reserves `id`, so the id becomes `item_id`."""
    known = {name: value for name, value in item.items() if value is not None}
    sample = {"filepath": known.pop("path"), "tags": [], "_media_type": "image"}
    sample["item_id"] = known.pop("id")
    sample["captions"] = known.pop("sentences", [])
    if (label := known.pop("label", None)) is not None:
        sample["ground_truth"] = {"_cls": "Classification", "tags": [], "label": label}
    # FiftyOne reserves these field names.
    return sample | {
        f"own_{name}" if name in ("filepath", "tags", "metadata") else name: value
        for name, value in known.items()
    }


def _lance(out: Path, schema: pa.Schema, parts: Iterator[tuple[pa.Table, Segment]]) -> None:
    lance = _pylance()
    with atomic_directory(out) as fresh:
        reader = pa.RecordBatchReader.from_batches(schema, _batches(schema, parts))
        lance.write_dataset(reader, str(fresh))


def _pylance() -> Any:
    try:
        import lance
    except ImportError as error:
        raise CMRError(
            "LanceDB tables need the package pylance, which is not installed: pip install pylance"
        ) from error
    return lance


# ---- reading


def _read_parquet(path: Path, _: Path | None) -> _Read:
    return _of_table(ParquetTable(path).table())


def _read_lance(path: Path, _: Path | None) -> _Read:
    lance = _pylance()
    try:
        table = lance.dataset(str(path)).to_table()
    except (OSError, ValueError) as error:
        raise DataFormatError(f"it is not a LanceDB table: {error}") from error
    return _of_table(table)


def _of_table(table: pa.Table) -> _Read:
    names = {name: own for name, own in VECTORS.items() if own in table.column_names}
    if not names:
        others = [name for name in OTHER_NAMES if name in table.column_names]
        names = {"image": others[0]} if others else {}
    vectors = {name: _of_column(own, table.column(own)) for name, own in names.items()}
    return dict(zip(table.column_names, table.columns, strict=True)), vectors


def _of_column(name: str, column: pa.ChunkedArray) -> VectorColumn:
    rows = np.flatnonzero(column.is_valid().to_numpy())
    if not len(rows):
        return VectorColumn(np.empty((0, 0), np.float32), rows)
    present = column.drop_null().combine_chunks()
    try:
        lengths = set(pc.list_value_length(present).unique().to_pylist())
        numbers = pc.list_flatten(present).cast(pa.float32()).to_numpy(zero_copy_only=False)
    except (pa.ArrowException, TypeError) as error:
        raise DataFormatError(
            f"the column {name} does not have lists of numbers: {error}"
        ) from error
    if len(lengths) > 1:
        raise DataFormatError(f"the vectors in {name} have different lengths: {sorted(lengths)}")
    return VectorColumn(numbers.reshape(len(rows), -1), rows)


def _read_npz(path: Path, _: Path | None) -> _Read:
    arrays = _arrays(path)
    columns: dict[str, Any] = {}
    for name in ("id", "path", "label"):
        if f"{name}s" in arrays:
            columns[name] = [str(one) or None for one in np.atleast_1d(arrays[f"{name}s"])]
    if "sentences" in arrays:
        columns["sentences"] = [_sentences(str(one)) for one in arrays["sentences"]]
    vectors: dict[Modality, VectorColumn] = {}
    for name in VECTORS:
        keys = (f"{name}_vectors", *(OTHER_NAMES if name == "image" else ()))
        key = next((key for key in keys if key in arrays), None)
        if key is not None:
            matrix = arrays[key]
            vectors[name] = VectorColumn(matrix, arrays.get(f"{name}_rows", np.arange(len(matrix))))
    return columns, vectors


def _read_npy(path: Path, ids: Path | None) -> _Read:
    if ids is None:
        raise DataFormatError(
            "an .npy file has no ids: give a file with one id per line with --ids"
        )
    matrix = _arrays(path)["vectors"]
    names = read_bytes(ids).decode("utf-8-sig").splitlines()
    if len(names) != len(matrix):
        raise DataFormatError(f"it has {len(matrix):,} vectors, but {ids} has {len(names):,} ids")
    return {"id": names}, {"image": VectorColumn(matrix, np.arange(len(matrix)))}


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    check_file(path)
    try:
        found = np.load(path, allow_pickle=False)
        return dict(found) if isinstance(found, np.lib.npyio.NpzFile) else {"vectors": found}
    except (ValueError, EOFError, KeyError, BadZipFile) as error:
        raise DataFormatError(f"its arrays cannot be read: {error}") from error


def _checked(name: Modality, column: VectorColumn, dim: int) -> VectorColumn:
    """Scale vectors to length 1. Raises DataFormatError if they are invalid."""
    matrix: FloatArray = np.asarray(column.matrix, np.float32)
    if not len(column):
        return VectorColumn(np.empty((0, dim), np.float32), column.rows)
    if matrix.ndim != 2 or matrix.shape[1] != dim:
        shape = " × ".join(map(str, matrix.shape))
        raise DataFormatError(
            f"the {name} vectors have the shape {shape}, but the model has {dim} dimensions: "
            "give the model that made the vectors with --model"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(matrix.astype(np.float64), axis=1, keepdims=True)
        wrong = np.flatnonzero(~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0))
    if len(wrong):
        rows = ", ".join(str(int(column.rows[one])) for one in wrong[:_MOST_SHOWN])
        raise DataFormatError(
            f"{len(wrong):,} {name} vectors are zero or not finite, e.g. in the rows {rows}: "
            "remove these items"
        )
    return VectorColumn((matrix / lengths).astype(np.float32), column.rows.astype(np.int64))


def _items(columns: Mapping[str, Any], folder: Path) -> pa.Table:
    """Return the table of items, with relative paths joined to a folder."""
    given = dict(columns)
    ids = given.pop("id", given.pop("ids", None))
    if ids is None:
        raise DataFormatError("it has no column called id")
    names = [None if one is None else str(one) for one in _list(ids)]
    unclear = [row for row, name in enumerate(names) if not name or not is_clean(name)]
    if unclear:
        raise DataFormatError(f"{len(unclear):,} rows have no id, e.g. row {unclear[0]}")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        shown_ids = ", ".join(map(shown, twice[:_MOST_SHOWN]))
        raise DataFormatError(f"{len(twice):,} ids are not unique, e.g. {shown_ids}")
    texts = next((key for key in ("sentences", *TEXT_KEYS) if key in given), None)
    sentences = _list(given.pop(texts)) if texts else [[] for _ in names]
    paths = _list(given.pop("path", [None] * len(names)))
    labels = _list(given.pop("label", [None] * len(names)))
    table = pa.table(
        {
            "id": pa.array(names, pa.string()),
            "path": pa.array(
                [None if not one else absolute(str(one), folder) for one in paths], pa.string()
            ),
            "sentences": pa.array([_sentences(one) for one in sentences], COLUMNS["sentences"]),
            "label": pa.array([None if one is None else str(one) for one in labels], pa.string()),
        }
    )
    for name, column in given.items():
        is_vector = name in (*VECTORS.values(), *OTHER_NAMES)
        if (
            name not in (*COLUMNS, MODALITY)
            and not is_vector
            and isinstance(column, pa.ChunkedArray)
        ):
            table = table.append_column(name, column)
    return table


def _list(column: pa.ChunkedArray | Sequence[Any]) -> list[Any]:
    return column.to_pylist() if isinstance(column, pa.ChunkedArray) else list(column)


def _sentences(value: object) -> list[str]:
    """Return the sentences in a cell, which is a list, a list as JSON text, or one sentence."""
    if isinstance(value, str):
        try:
            listed = json.loads(value)
        except (ValueError, RecursionError):
            listed = None
        value = listed if isinstance(listed, list) else [value]
    return [one for one in value or () if isinstance(one, str)]  # type: ignore[attr-defined]
