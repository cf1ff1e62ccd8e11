"""What a lock file holds: entries of exact version, platforms, hashes, and who needs them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOME: Final = Path(__file__).parents[1]
RUN: Final = HOME / "requirements.lock"
CPU: Final = HOME / "requirements-cpu.lock"
CUDA: Final = HOME / "requirements-cuda.lock"
DEV: Final = HOME / "requirements-dev.lock"
_HASH: Final = "--hash="


@dataclass(frozen=True)
class Locked:
    """An entry. `needed_by` names packages, or the file that asks for it: `-r FILE`."""

    requirement: Requirement
    hashes: tuple[str, ...] = field(repr=False)
    needed_by: tuple[str, ...]

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        (pin,) = self.requirement.specifier
        return pin.version

    def __str__(self) -> str:
        marker = f" ; {self.requirement.marker}" if self.requirement.marker else ""
        hashes = "".join(f" \\\n    {_HASH}{each}" for each in self.hashes)
        return (
            f"{self.name}=={self.version}{marker}{hashes}\n    # via {', '.join(self.needed_by)}\n"
        )


def parse(text: str) -> list[Locked]:
    """The entries of a lock file, as uv, pip-tools or this module write it.

    Raises:
        InvalidRequirement: a line is none.
        ValueError: an entry is not pinned to one version.
    """
    entries: list[Locked] = []
    logical = text.replace("\\\n", " ").splitlines()
    for line in logical:
        words = line.split()
        if not words or words[0] == "-r":
            continue
        if words[0] == "#":
            if line.startswith(" ") and entries:
                names = " ".join(words[1:]).removeprefix("via").split(",")
                entries[-1] = _needed(entries[-1], names)
            continue
        required, *hashes = line.split(_HASH)
        entry = Locked(Requirement(required), tuple(each.strip() for each in hashes), ())
        pins = [(pin.operator, pin.version.endswith("*")) for pin in entry.requirement.specifier]
        if pins != [("==", False)]:
            raise ValueError(f"{entry.requirement} is not pinned to one version")
        entries.append(entry)
    return entries


def read(*paths: Path) -> list[Locked]:
    """The entries of lock files."""
    return [entry for path in paths for entry in parse(path.read_text(encoding="utf-8"))]


def write(path: Path, about: str, entries: Iterable[Locked], *, after: Path | None = None) -> None:
    """Writes a lock file: `about` it as a comment, the file that it comes `after`, its entries."""
    head = "".join(f"# {line}\n" for line in about.strip().splitlines())
    first = f"-r {after.name}\n" if after else ""
    path.write_text(head + first + "".join(map(str, entries)), encoding="utf-8")


def _needed(entry: Locked, names: Iterable[str]) -> Locked:
    more = [name.strip() for name in names if name.strip()]
    return Locked(entry.requirement, entry.hashes, (*entry.needed_by, *more))
