"""An index of stored runs: their figures and places in the store, without the whole records."""

from __future__ import annotations

import hashlib
import json
import logging
import marshal
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cmr_hub.atomic import atomic_file
from cmr_hub.cache_home import default_cache_home
from cmr_hub.errors import ModelFormatError, StorageError
from cmr_hub.experiments.results import CHUNK, parse_line, read_chunks
from cmr_hub.experiments.run_record import RunRecord
from cmr_hub.version import __version__

if TYPE_CHECKING:
    import numpy.typing as npt

logger = logging.getLogger(__name__)

_FORMAT: Final = 1
"""Increase if the columns change, or what they contain, or which lines are valid."""

_MOST_KNOWN: Final = 10_000
"""Maximum number of different settings that are remembered, to limit the memory."""

_PLAIN: Final = tuple(f"{name}_{way}" for name in ("map", "map50") for way in ("i2t", "t2i", "avg"))
_BY_DEPTH: Final = ("recall_i2t", "recall_t2i", "precision_i2t", "precision_t2i")
_DEPTHS: Final = ("1", "5", "10")
_FIGURES: Final = (*_PLAIN, *(f"{name}@{depth}" for name in _BY_DEPTH for depth in _DEPTHS))
_REPEATING: Final = pa.dictionary(pa.int32(), pa.string())
_SCHEMA: Final = pa.schema(
    [
        *((name, pa.int64()) for name in ("line", "start", "size")),
        *((name, pa.string()) for name in ("problem", "superseded", "cell", "finished")),
        *((name, _REPEATING) for name in ("facts", "terms")),
        ("seed", pa.int64()),
        *((name, pa.float64()) for name in ("seconds", *_FIGURES)),
    ]
)

_MEASURED: Final = attrgetter(*_PLAIN)
_NAMED: Final = attrgetter(*_BY_DEPTH)

_FACTS: Final = (
    "image_weights",
    "fine_tuned",
    "text_options",
    "text_fine_tuned",
    "trained_on",
    "split",
)
"""Fields that affect the result, apart from the factors and the settings of the method."""
_UNTYPED: Final = ("objective", "settings", "versions", "nested", "pairs", "model_extra")
_REPEATED: Final = attrgetter(
    *("dataset", "image_encoder", "text_encoder", "preset", *_FACTS, *_UNTYPED)
)


@dataclass(frozen=True, eq=False)
class RunIndex:
    """The valid runs of one or several stores.

    Attributes:
        table: one row per run, in the order of the stores: `path`, `start` and `size` of its line,
            its seed, cell, date, seconds and figures, JSON texts of its factors and settings
            (`facts`) and of the names of its losses (`terms`).
        problems: messages about the invalid lines.
    """

    table: pa.Table
    problems: list[str]

    def __len__(self) -> int:
        return self.table.num_rows  # type: ignore[no-any-return]

    @cached_property
    def numbers(self) -> dict[str, npt.NDArray[Any]]:
        """Seeds, seconds and figures by name; missing figures are NaN."""
        return {name: self.table[name].to_numpy() for name in ("seed", "seconds", *_FIGURES)}

    def figure(self, metric: str, way: str, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Return a figure of some rows; a missing average is the mean of both directions.

        Args:
            metric: for example `map` or `recall@10`.
            way: `i2t`, `t2i` or `avg`.
            rows: (n,) positions in the table.

        Returns:
            (n,), NaN if not measured.
        """
        name, at, depth = metric.partition("@")
        column = self.numbers.get(f"{name}_{way}{at}{depth}")
        measured = np.full(len(rows), np.nan) if column is None else column[rows]
        if way != "avg":
            return measured
        i2t, t2i = (self.numbers[f"{name}_{one}{at}{depth}"][rows] for one in ("i2t", "t2i"))
        return np.where(np.isnan(measured), (i2t + t2i) / 2, measured)

    def load(self, rows: npt.NDArray[np.int64]) -> list[RunRecord]:
        """Read the whole records of some rows.

        Raises:
            ModelFormatError: a store was rewritten or deleted after it was indexed.
        """
        records = []
        with ExitStack() as stack:
            files: dict[str, Any] = {}
            for place in (
                self.table.select(["path", "start", "size", "seed", "cell"]).take(rows).to_pylist()
            ):
                path = place["path"]
                try:
                    if path not in files:
                        files[path] = stack.enter_context(Path(path).open("rb"))
                    files[path].seek(place["start"])
                    record = parse_line(files[path].read(place["size"]))
                    if not isinstance(record, str) and (record.seed, _encodable(record.cell)) != (
                        place["seed"],
                        place["cell"],
                    ):
                        record = "it is another run"
                except OSError as error:
                    record = str(error)
                if isinstance(record, str):
                    raise ModelFormatError(
                        f"the run at byte {place['start']:,} of {path} cannot be read: {record}. "
                        f"If the store was rewritten, open it again"
                    )
                records.append(record)
        return records

    def of_cells(self, cells: Iterable[str]) -> list[RunRecord]:
        """Read the whole records of the runs of some cells, in the order of the stores."""
        wanted = pc.is_in(self.table["cell"], pa.array(list(cells), pa.string()))
        return self.load(np.flatnonzero(wanted.to_numpy()))


def joined(indexes: Iterable[RunIndex]) -> RunIndex:
    """Return one index of the runs of several; without any, an empty one."""
    empty = _SCHEMA.empty_table().append_column("path", pa.array([], _REPEATING))
    stores = list(indexes)
    table = pa.concat_tables([empty, *(store.table for store in stores)])
    return RunIndex(
        table.combine_chunks(), [problem for store in stores for problem in store.problems]
    )


def run_index(path: str | Path, *, superseded: bool = False) -> RunIndex:
    """Validate all lines of a store, and index its runs in bounded memory.

    The index of each complete chunk of the store is cached under the hash of the chunk's content,
    so that the next call only parses what is new.

    Args:
        path: the store.
        superseded: whether to include superseded runs, too.

    Raises:
        DataNotFoundError, ModelFormatError: see `read_runs`.
    """
    source = Path(path)
    known: dict[bytes, tuple[str, str]] = {}
    indexes = []
    start, line = 0, 1
    for chunk in read_chunks(source):
        table = _cached(chunk, known) if len(chunk) >= CHUNK else _indexed(chunk, known)
        wrong = table.filter(pc.is_valid(table["problem"])).select(["line", "problem"]).to_pylist()
        keep = pc.is_null(table["problem"])
        if not superseded:
            keep = pc.and_(keep, pc.is_null(table["superseded"]))
        table = table.filter(keep)
        table = table.set_column(1, "start", pc.add(table["start"], start))
        table = table.append_column("path", pa.array([str(source)] * len(table), _REPEATING))
        problems = [
            f"{source}, line {line + one['line']} is left out: {one['problem']}" for one in wrong
        ]
        indexes.append(RunIndex(table, problems))
        start += len(chunk)
        line += chunk.count(b"\n")
    return joined(indexes)


def _cached(chunk: bytes, known: dict[bytes, tuple[str, str]]) -> pa.Table:
    name = f"{hashlib.sha256(chunk).hexdigest()}-{__version__}-{_FORMAT}.parquet"
    path = default_cache_home() / "run-index" / name
    try:
        table = pq.read_table(path)
        if table.schema.equals(_SCHEMA):
            return table
    except (OSError, pa.ArrowException):  # missing or damaged
        pass
    table = _indexed(chunk, known)
    try:
        with atomic_file(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
    except (OSError, StorageError) as error:
        logger.warning("the index of the runs is not cached: %s", error)
    return table


def _indexed(chunk: bytes, known: dict[bytes, tuple[str, str]]) -> pa.Table:
    """Index the lines of a chunk; `line` and `start` count from its beginning."""
    rows, start = [], 0
    for number, line in enumerate(chunk.split(b"\n")):
        if line.strip():
            rows.append((number, start, len(line), *_row(line, known)))
        start += len(line) + 1
    columns = zip(*rows, strict=True) if rows else ((),) * len(_SCHEMA)
    arrays = [
        # numpy also converts integers that a float cannot represent exactly.
        pa.array(np.array(column, np.float64), from_pandas=True)
        if field.type == pa.float64()
        else pa.array(column, field.type)
        for field, column in zip(_SCHEMA, columns, strict=True)
    ]
    return pa.table(arrays, schema=_SCHEMA)


def _row(line: bytes, known: dict[bytes, tuple[str, str]]) -> tuple[Any, ...]:
    """Return the columns of a line from `problem` on.

    pydantic's own parser is several times as fast as `parse_line`, but does not refuse numbers
    that are not JSON in untyped values. It is sufficient if `parse_line` accepted the same values
    before, which `known` records.
    """
    try:
        record = RunRecord.model_validate_json(line)
        texts = known.get(_key(record))
    except ValueError:
        texts = None
    if texts is None:
        found = parse_line(line)
        if isinstance(found, str):
            return (_encodable(found), *(None,) * (len(_SCHEMA) - 4))
        record = found
        if len(known) >= _MOST_KNOWN:
            known.clear()
        texts = _texts(record)
        with suppress(ValueError):  # values that are nested too deeply to be a key
            known[_key(record)] = texts
    by_depth = [(named or {}).get(depth) for named in _NAMED(record) for depth in _DEPTHS]
    return (
        None,
        *map(_encodable, (record.superseded, record.cell, record.finished)),
        *(*texts, record.seed, record.seconds, *_MEASURED(record), *by_depth),
    )


def _key(record: RunRecord) -> bytes:
    """Return a key of all untyped values, and of all that the factors and settings depend on."""
    values = (
        *_REPEATED(record),
        record.zero_shot and record.zero_shot.model_extra,
        _protocol(record),
    )
    # Version 2 depends on nothing but the values.
    return marshal.dumps(values, 2)


def _encodable(text: str | None) -> str | None:
    """Replace lone surrogates, which JSON can contain and Arrow cannot."""
    return text and text.encode(errors="replace").decode()


def _texts(record: RunRecord) -> tuple[str, str]:
    objective = record.settings.get("objective", {})
    terms = list(objective) if isinstance(objective, dict) else []
    facts = json.dumps([_factors(record), _settings(record)], sort_keys=True)
    return facts, json.dumps(terms)


def _protocol(record: RunRecord) -> str:
    # A protocol with a new split for every seed is one protocol.
    is_drawn = record.protocol == f"random-{record.seed}"
    return "random-{seed}" if is_drawn else record.protocol


def _factors(record: RunRecord) -> dict[str, str]:
    tuned = record.fine_tuned or {}
    layers = record.text_fine_tuned or {}
    objective = record.objective
    return {
        "dataset": record.dataset,
        "protocol": _protocol(record),
        "images": record.image_encoder + _tuned(tuned.get("blocks"), "block"),
        "texts": record.text_encoder + _tuned(layers.get("layers"), "layer"),
        "method": record.preset,
        "objective": objective if isinstance(objective, str) else json.dumps(objective),
    }


def _tuned(count: Any, part: str) -> str:
    return f", {count} {part}{'s' * (count != 1)} fine-tuned" if count else ""


def _settings(record: RunRecord) -> dict[str, str]:
    chosen = {name: value for name in _FACTS if (value := getattr(record, name)) is not None}
    if record.nested is not None:  # each split may have chosen other settings
        chosen["nested"] = True
    elif record.objective != "closed form":
        chosen |= record.settings
    return dict(_flat(chosen))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value)
