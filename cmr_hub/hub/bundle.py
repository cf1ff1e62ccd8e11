"""Common parts of Spaces: the package, pinned requirements and a marker."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

from cmr_hub.errors import CMRError

PACKAGE: Final = Path(__file__).parents[1]
MADE_BY: Final = "made with `cmr space`"
"""Marker in the README of each Space; only folders with it are ever replaced."""


def requirements(*extras: str) -> list[str]:
    """Return the requirements of the package with these extras, pinned to installed versions.

    Raises:
        CMRError: a required package is not installed.
    """
    from packaging.requirements import Requirement

    pinned = set()
    for text in metadata.requires("cmr-hub") or ():
        requirement = Requirement(text)
        applies = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras
        )
        if applies and requirement.name != "cmr-hub":  # some extras include others
            pinned.add(f"{requirement.name}=={version_here(requirement.name, extras)}")
    return sorted(pinned)


def version_here(package: str, extras: tuple[str, ...]) -> str:
    """Return the installed version of a package. Raises CMRError that names its extras."""
    try:
        # `2.13.0+cpu` is the same release from another index.
        return metadata.version(package).split("+")[0]
    except metadata.PackageNotFoundError as error:
        raise CMRError(
            f"{package} is not installed, so the Space cannot pin its version: "
            f"pip install 'cmr-hub[{','.join(extras)}]'"
        ) from error


def copy_package(space: Path, *, releases: bool) -> None:
    """Copy the source and licence of the package, and its bundled models if `releases`."""
    shutil.copytree(
        PACKAGE,
        space / PACKAGE.name,
        ignore=lambda folder, names: [
            name
            for name in names
            if name == "__pycache__"
            or (not releases and Path(folder).name == "releases" and (Path(folder) / name).is_dir())
        ],
    )
    licence = metadata.distribution("cmr-hub").read_text("licenses/LICENSE")
    if licence is not None:
        (space / "LICENSE").write_text(licence, encoding="utf-8")


def files_in(folder: Path) -> dict[str, Path]:
    """Map relative paths to files, without hidden files, `__pycache__` and links."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.is_symlink()
        and not any(
            part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts
        )
    }


def copy_files(files: Mapping[str, Path], target: Path) -> None:
    """Copy files into a folder under their relative paths."""
    for name, path in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)


def refuse_foreign(out: Path) -> None:
    """Raise CMRError unless `out` is missing, empty or a Space made by this module."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        readme = out / "README.md"
        if not (readme.is_file() and MADE_BY in readme.read_text(encoding="utf-8")):
            raise CMRError(f"{out} was not made by `cmr space`: choose a new directory")
