"""The results store: one JSON line per run, safe to append from several processes."""

from __future__ import annotations

import json
import math
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import lock_descriptor, unlock_descriptor

from cmr_hub.atomic import storing
from cmr_hub.errors import DataNotFoundError, ModelFormatError
from cmr_hub.experiments.run_record import RunRecord
from cmr_hub.outside import check_file
from cmr_hub.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cmr_hub.types import JSONObject

LARGEST_STORE = 2**30
"""Maximum size of a store in bytes; a run takes about four thousand bytes."""
CHUNK = 2**24
"""Minimum size in bytes of the parts in which a store is read."""


def append_run(record: RunRecord | Mapping[str, Any], path: str | Path) -> None:
    """Append a run to the store as one line, and flush it to disk.

    The file is locked while the line is written, so that lines of several processes never mix. If a
    crash left the last line incomplete, the new line starts after it; `read_runs` reports the
    incomplete one. Nothing is added if a line with the same `run` exists, which happens if training
    is interrupted after this call and resumed.

    Raises:
        StorageError: the disk is full or read-only; the store is unchanged.
        ModelFormatError: a required field is missing or has another type, or a value is not JSON
            (NaN and infinity are not).
    """
    try:
        if not isinstance(record, RunRecord):
            record = RunRecord.parse(dict(record))
    except ModelFormatError as error:
        raise ModelFormatError(f"the run is not stored: {error}") from error
    try:
        line = json.dumps(record.to_dict(), allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise ModelFormatError(
            f"the run is not stored, because it is not valid JSON: {error}; a figure that is NaN "
            f"or infinite means that training diverged"
        ) from error
    target = Path(path)
    with storing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _append(line, target, record.run)


def _append(line: bytes, target: Path, run: str | None) -> None:
    with target.open("a+b", buffering=0) as file:
        lock_descriptor(file.fileno())
        file.seek(0)
        if run is not None and _contains_run(file.read(), run):
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
            # The disk is full: undo the partial write.
            file.truncate(size)
            raise


def _contains_run(content: bytes, run: str) -> bool:
    name = json.dumps(run).encode()
    lines = (line for line in content.split(b"\n") if name in line)
    return any(
        not isinstance(found := parse_line(line), str) and found.run == run for line in lines
    )


def read_runs(path: str | Path, *, superseded: bool = False) -> tuple[list[RunRecord], list[str]]:
    """Return all valid records in order, and messages about the other lines.

    Args:
        path: the store.
        superseded: whether to also return superseded runs.

    Raises:
        DataNotFoundError: the file does not exist.
        ModelFormatError: the path is not a file, cannot be read, or exceeds `LARGEST_STORE`.
    """
    source = Path(path)
    records: list[RunRecord] = []
    problems: list[str] = []
    for number, line in enumerate(b"".join(read_chunks(source)).split(b"\n"), start=1):
        if not line.strip():
            continue
        found = parse_line(line)
        if isinstance(found, str):
            problems.append(f"{source}, line {number} is left out: {found}")
        elif superseded or found.superseded is None:
            records.append(found)
    return records, problems


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of a store in parts of whole lines and at least `CHUNK` bytes.

    The last part may be smaller, and its last line may lack the newline. Raises the errors of
    `read_runs`.
    """
    try:
        check_file(path, LARGEST_STORE)
        with path.open("rb") as file:
            # Locked only until the size is known, because complete lines never change.
            lock_descriptor(file.fileno())
            left = file.seek(0, os.SEEK_END)
            unlock_descriptor(file.fileno())
            file.seek(0)
            while chunk := file.read(min(CHUNK, left)):
                chunk += file.readline(left - len(chunk))
                left -= len(chunk)
                yield chunk
    except FileNotFoundError as error:
        raise DataNotFoundError(f"no runs are stored in {path}: is the path right?") from error
    except OSError as error:
        raise ModelFormatError(f"{path} contains no runs: {error}") from error


def versions() -> JSONObject:
    """Return the versions of Python and the libraries, and properties of the machine.

    The libraries are not imported.
    """
    found: JSONObject = {"cmr_hub": __version__, "python": platform.python_version()}
    for library in ("torch", "numpy", "scikit-learn"):
        found[library] = metadata.version(library)
    return {
        **found,
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }


def parse_line(line: bytes) -> RunRecord | str:
    """Return the record of a line, or an error message."""
    try:
        found = json.loads(
            line.decode(),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
    except (ValueError, RecursionError) as error:
        return f"not a complete JSON line ({error})"
    try:
        return RunRecord.parse(found)
    except ModelFormatError as error:
        return str(error)


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
