"""Damaged and random files for testing the readers of external files.

`attack` tests a reader: for any file content, the reader must return a value or raise a CMRError
with a message. It must do so quickly, with little memory, and without opening unrelated files.
Run with HYPOTHESIS_PROFILE=long to test many more files.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from cmr_hub.errors import CMRError

SECONDS = 20.0
MEMORY = 700 * 2**20
CANARY = "canary"
"""A path that only damaged files contain and that leads out of the folder; nobody may open it."""

_PIECES = (
    b"",
    b"\0",
    b"\n",
    b"\xff" * 8,
    b"\x7f\xff\xff\xff",
    b"\x00" * 64,
    b"9" * 5000,
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b'"',
    b"[" * 20_000,
    b'{"a":' * 2_000,
    b"<a>" * 2_000,
    b"&#" + b"9" * 5000 + b";",
    "é\u2028\ud7ff²１".encode(),
    b"../canary",
    b"/canary",
    b"\xed\xa0\x80",
)
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", "x", "0", "\0", "\ud800", "²", "../canary", "/canary"),
    *([], [[]], [None], ["x", "x"], [1e300], {}, {"": None}, {"x": {}}, "x" * 1000),
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return the file content with one to five random changes, or random bytes."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["flip", "set", "cut", "drop", "insert", "copy", "head"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "set" if data:
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + draw(st.integers(1, 64))]
            case "insert":
                data[at:at] = draw(st.sampled_from(_PIECES) | st.binary(max_size=16))
            case "copy":
                start = draw(st.integers(0, max(len(data) - 1, 0)))
                piece = data[start : start + draw(st.integers(1, 64))]
                data[at : at + len(piece)] = piece
            case "head" if data:  # most formats store sizes and counts here
                data[at % min(len(data), 64)] = draw(st.sampled_from((0, 1, 127, 128, 255)))
    return bytes(data)


@st.composite
def changed(draw: st.DrawFn, value: Any) -> Any:
    """Return a JSON value with one to three unexpected changes."""
    found = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        holder = {"": found}
        key: Any = ""
        while isinstance(holder[key], dict | list) and holder[key] and draw(st.integers(0, 3)):
            holder = holder[key]
            key = draw(
                st.sampled_from(sorted(holder))
                if isinstance(holder, dict)
                else st.integers(0, len(holder) - 1)
            )
        match draw(st.sampled_from(("odd", "odd", "odd", "drop", "add", "wrap"))):
            case "odd":
                holder[key] = deepcopy(draw(st.sampled_from(_ODD)))
            case "drop" if holder is not found or isinstance(holder, list):
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[draw(st.sampled_from(("", "x", "name", "\0", "../canary", "self")))] = 1
            case _:
                holder[key] = [holder[key]]
        if key == "":
            found = holder.get("")
    return found


def as_json(value: Any) -> bytes:
    """Encode a value with Python's JSON writer, including NaN."""
    return json.dumps(value).encode()


class TooLateError(BaseException):
    """A timeout; a BaseException, so that no reader handles it as damage of the file."""


@contextmanager
def contract(seconds: float = SECONDS, memory: int = MEMORY) -> Iterator[None]:
    """Check that the block ends in time, uses little memory and does not open `CANARY`.

    A CMRError with a message is allowed.
    """

    def late(*_: object) -> None:
        raise TooLateError(f"not finished after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    _opened.clear()
    start = _peak(reset=True)
    try:
        yield
    except CMRError as error:
        if not str(error).strip():
            raise AssertionError("the error has no message") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not _opened, f"opened {_opened}"
    assert _peak() - start < memory


@dataclass(frozen=True)
class Target:
    """A reader and a valid folder for it.

    Attributes:
        files: file contents by relative path.
        read: read the folder.
        changes: for files that are changed as JSON values rather than as bytes, the function that
            encodes the value, by path.
        seal: recompute the checksums of a damaged folder, so that the damage reaches deeper code.
    """

    files: Mapping[str, bytes]
    read: Callable[[Path], object]
    changes: Mapping[str, tuple[Any, Callable[[Any], bytes]]] = field(default_factory=dict)
    seal: Callable[[Path], object] | None = None
    attacked: tuple[str, ...] = ()
    """The files to damage; by default, all files."""


def read_whole(target: Target) -> None:
    """Read the undamaged files, to ensure that a refusal is due to the damage."""
    with TemporaryDirectory() as folder:
        _write(target, Path(folder))
        target.read(Path(folder))


def attack(target: Target, data: st.DataObject) -> None:
    """Damage one file of the target and read the folder."""
    with TemporaryDirectory() as folder:
        _attack(target, data, Path(folder))


def _attack(target: Target, data: st.DataObject, folder: Path) -> None:
    _write(target, folder)
    name = data.draw(st.sampled_from(target.attacked or tuple(target.files)), "file")
    if name in target.changes and data.draw(st.integers(0, 3), "how"):
        value, write = target.changes[name]
        content = write(data.draw(changed(value), "value"))
    else:
        content = data.draw(damaged(target.files[name]), "bytes")
    (folder / name).write_bytes(content)
    if target.seal is not None and data.draw(st.booleans(), "sealed"):
        try:
            target.seal(folder)
        except Exception:  # the damage may make the checksums impossible to recompute
            return
    with contract():
        target.read(folder)


def _write(target: Target, folder: Path) -> None:
    for name, whole in target.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the contents of a folder by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


_opened: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("open", "os.listdir", "os.scandir", "sqlite3.connect"):
        return
    if isinstance(arguments[0], str | bytes | os.PathLike) and CANARY in os.fsdecode(arguments[0]):
        _opened.append(os.fsdecode(arguments[0]))


sys.addaudithook(_watch)


def _peak(*, reset: bool = False) -> int:
    """Return the peak memory of this process since the last reset, or 0 if unknown."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return 1024 * int(status.split("VmHWM:")[1].split()[0])
