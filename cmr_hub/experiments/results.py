"""The results store: one JSON line for each run, added safely by many processes at once."""

from __future__ import annotations

import json
import math
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from filelock import lock_descriptor
from pydantic import BaseModel, ConfigDict, ValidationError

from cmr_hub.atomic import storing
from cmr_hub.errors import DataNotFoundError, ModelFormatError, shown
from cmr_hub.outside import check_file
from cmr_hub.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cmr_hub.types import JSONObject

LARGEST_STORE = 2**30
"""Bytes of a store; a run has some two thousand."""
NUMBER = (int, float)
REQUIRED: dict[str, tuple[type, ...]] = {
    "dataset": (str,),
    "protocol": (str,),
    "image_encoder": (str,),
    "text_encoder": (str,),
    "preset": (str,),
    "objective": (str, dict),
    "seed": (int,),
    "epochs": (int,),
    "map_i2t": (*NUMBER, type(None)),
    "map_t2i": (*NUMBER, type(None)),
    "map_avg": (*NUMBER, type(None)),
    "map50_avg": (*NUMBER, type(None)),
    "image_accuracy": (*NUMBER, type(None)),
    "text_accuracy": (*NUMBER, type(None)),
    "seconds": NUMBER,
    "versions": (dict,),
}
"""What every record holds, and of which type; it may hold more. Null is what was not measured:
accuracies without a classifier, MAP between modalities of a method that only asks images."""


_Object: TypeAlias = dict[str, Any] | None
_Number: TypeAlias = float | int | None
_Numbers: TypeAlias = list[float | int] | None
_Named: TypeAlias = dict[str, float | int | None] | None


class _Figures(BaseModel):
    """Figures of a run that are looked at: absent or null where they were not measured."""

    model_config = ConfigDict(strict=True)

    pr_recall: _Numbers = None
    pr_curve_i2t: _Numbers = None
    pr_curve_t2i: _Numbers = None
    per_class_map_i2t: _Named = None
    per_class_map_t2i: _Named = None
    precision_i2t: _Named = None
    precision_t2i: _Named = None
    recall_i2t: _Named = None
    recall_t2i: _Named = None
    recall_avg: _Number = None
    map_i2i: _Number = None
    map50_i2t: _Number = None
    map50_t2i: _Number = None
    validation_map: _Number = None


class _ZeroShot(_Figures):
    """What features that share a space reached before anything was trained on them."""

    map_i2t: _Number
    map_t2i: _Number
    map_avg: _Number
    map50_avg: _Number
    image_accuracy: _Number
    text_accuracy: _Number


class _Optional(_Figures):
    """What a record may hold beside `REQUIRED` and is looked at: absent or null likewise."""

    cell: str | None = None
    settings: dict[str, Any] = {}
    text_options: _Object = None
    fine_tuned: _Object = None
    text_fine_tuned: _Object = None
    trained_on: _Object = None
    pairs: _Object = None
    split: str | None = None
    finished: str | None = None
    relevance: str | None = None
    map50_denominator: str | None = None
    classes: list[str] | None = None
    zero_shot: _ZeroShot | None = None
    test_texts_without_known_word: int | None = None


def append_run(record: Mapping[str, Any], path: str | Path) -> None:
    """Adds one run to the store, as one line that is on the disk when this returns.

    The file is locked while the line is written, so lines of several processes never mix. A last
    line that a crash left unfinished is closed first and stays as it is; `read_runs` reports it.
    A training names itself in `run`; of one that was stopped after this and resumed there is a
    line already, and none is added.

    Raises:
        StorageError: the disk is full, or may only be read; the store is as it was.
        ModelFormatError: a required key is missing or of another type, or a value is not JSON
            (NaN and infinity are not).
    """
    problem = _problem(dict(record))
    if problem:
        raise ModelFormatError(f"the run is not stored: {problem}")
    try:
        line = json.dumps(dict(record), allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise ModelFormatError(
            f"the run is not stored, it is not valid JSON: {error}; a figure that is NaN or "
            f"infinite means that training diverged"
        ) from error
    target = Path(path)
    with storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _append(line, target, record.get("run"))


def _append(line: bytes, target: Path, run: str | None) -> None:
    with target.open("a+b", buffering=0) as file:
        lock_descriptor(file.fileno())
        file.seek(0)
        if run is not None and _holds(file.read(), run):
            return
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                line = b"\n" + line
        try:
            written = 0
            while written < len(line):
                written += file.write(line[written:])
            os.fsync(file)
        except OSError:
            # A full disk: the store stays as it was.
            file.truncate(size)
            raise


def _holds(content: bytes, run: str) -> bool:
    name = json.dumps(run).encode()
    lines = (line for line in content.split(b"\n") if name in line)
    return any(isinstance(found := _read(line), dict) and found.get("run") == run for line in lines)


def read_runs(path: str | Path) -> tuple[list[JSONObject], list[str]]:
    """All whole records in the order they were added, and what is wrong with the other lines.

    Raises:
        DataNotFoundError: there is no such file; no run has been stored there.
        ModelFormatError: it is no file, cannot be read, or is larger than any store.
    """
    source = Path(path)
    try:
        check_file(source, LARGEST_STORE)
        with source.open("rb") as file:
            lock_descriptor(file.fileno())
            lines = file.read().split(b"\n")
    except FileNotFoundError as error:
        raise DataNotFoundError(f"no runs are stored in {source}: is the path right?") from error
    except OSError as error:
        raise ModelFormatError(f"{source} holds no runs: {error}") from error
    records: list[JSONObject] = []
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        found = _read(line)
        if isinstance(found, str):
            problems.append(f"{source}, line {number} is left out: {found}")
        else:
            records.append(found)
    return records, problems


def versions() -> JSONObject:
    """What a run was made with: libraries, Python and machine. Imports none of them."""
    found: JSONObject = {"cmr_hub": __version__, "python": platform.python_version()}
    for library in ("torch", "numpy", "scikit-learn"):
        found[library] = metadata.version(library)
    return {
        **found,
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }


def _read(line: bytes) -> JSONObject | str:
    """The record of a line, or what is wrong with it."""
    try:
        record: JSONObject = json.loads(
            line.decode(),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except (ValueError, RecursionError) as error:
        return f"not a whole JSON line ({error})"
    return _problem(record) or record


def _problem(record: object) -> str:
    """What keeps `record` from being a run, in words; empty if nothing does."""
    if not isinstance(record, dict):
        return f"a run is a JSON object, not {type(record).__name__}"
    missing = [key for key in REQUIRED if key not in record]
    if missing:
        return f"without {', '.join(missing)}"
    for key, types in REQUIRED.items():
        value = record[key]
        if not isinstance(value, types) or isinstance(value, bool):
            wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in types)
            return f"{key} must be {wanted}, not {shown(value)}"
    try:
        _Optional.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return ""


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:80]} is not a finite number")
    return number


def _whole(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"{text[:80]} is a number of more than 64 bits")
    return number


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
