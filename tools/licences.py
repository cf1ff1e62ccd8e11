"""`make licences`: writes THIRD_PARTY.md, the licence of every locked package.

A licence is what the package's own metadata say, as an SPDX expression. Where they say it in other
words, or not exactly, `READ` has what the package's licence file says.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

from license_expression import ExpressionError, get_spdx_licensing
from packaging.utils import canonicalize_name

from tools.locked import CUDA, DEV, HOME, RUN, Locked, read

THIRD_PARTY: Final = HOME / "THIRD_PARTY.md"
# What its metadata do not say exactly, read in the package's licence file.
READ: Final[Mapping[str, str]] = {}
_CLASSIFIERS: Final = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
}
_SPDX: Final = get_spdx_licensing()
_PLATFORMS: Final = ("manylinux_2_28_x86_64", "win_amd64", "macosx_14_0_arm64")


def licence(name: str, told: Mapping[str, str | Sequence[str]]) -> str:
    """The SPDX expression of a package.

    Args:
        name: of the package.
        told: its metadata, as PEP 566 has them in JSON.

    Raises:
        LookupError: neither the metadata nor READ say it.
    """
    if name in READ:
        return READ[name]
    classifiers = [each.rpartition(" :: ")[2] for each in told.get("classifier", ())]
    named = [_CLASSIFIERS[each] for each in classifiers if each in _CLASSIFIERS]
    candidates = [told.get("license_expression"), told.get("license"), " AND ".join(named)]
    for text in candidates:
        if isinstance(text, str) and text and is_spdx(text):
            return text
    raise LookupError(
        f"{name} does not say its licence as SPDX ({told.get('license')!r:.60}, {classifiers}); "
        "read its licence file and put it in READ"
    )


def is_spdx(text: str) -> bool:
    """Whether a text is an SPDX expression of known licences."""
    try:
        return not _SPDX.validate(text).errors
    except ExpressionError:
        return False


def licences(entries: Iterable[Locked]) -> dict[str, str]:
    """The licence of each package; of one that is not installed, the index is asked.

    Raises:
        LookupError: some licences are not to be had from metadata or READ; all are named.
    """
    found: dict[str, str] = {}
    problems: list[str] = []
    for entry in entries:
        try:
            told = metadata.metadata(entry.name)
            known = told.json if told["Version"].partition("+")[0] == entry.version else None
        except metadata.PackageNotFoundError:
            known = None
        try:
            found[entry.name] = licence(entry.name, known or _from_index(entry))
        except LookupError as problem:
            problems.append(str(problem))
    if problems:
        raise LookupError("\n".join(problems))
    return found


def _from_index(entry: Locked) -> Mapping[str, str | Sequence[str]]:
    """The metadata of a package that is not for this platform."""
    if entry.name in READ:
        return {}
    for platform in _PLATFORMS:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.json"
            asked = subprocess.run(
                [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps",
                 "--ignore-installed", "--only-binary=:all:", f"--platform={platform}",
                 f"--target={folder}", f"--report={report}", f"{entry.name}=={entry.version}"],
                check=False, capture_output=True,
            )  # fmt: skip
            if asked.returncode == 0:
                (install,) = json.loads(report.read_text(encoding="utf-8"))["install"]
                told: Mapping[str, str | Sequence[str]] = install["metadata"]
                return told
    return {}


def table(entries: Iterable[Locked], found: Mapping[str, str]) -> str:
    """The rows of THIRD_PARTY.md."""
    rows = [f"| {each.name} | {each.version} | {found[each.name]} |" for each in entries]
    return "\n".join(["| package | version | licence (SPDX) |", "|---|---|---|", *rows])


def recorded(path: Path = THIRD_PARTY) -> dict[tuple[str, str], str]:
    """What THIRD_PARTY.md says: (name, version) -> licence."""
    lines = path.read_text(encoding="utf-8").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {
        (canonicalize_name(name), version): said for name, version, said in cells if "=" not in name
    }


if __name__ == "__main__":
    try:
        print(table(read(RUN), licences(read(RUN, CUDA, DEV))))
    except LookupError as problems:
        sys.exit(str(problems))
