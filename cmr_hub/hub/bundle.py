"""What every Space of ours is made of: the package, pinned requirements, and a mark."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path
from typing import Final

from cmr_hub.errors import CMRError

PACKAGE: Final = Path(__file__).parents[1]
MADE_BY: Final = "made with `cmr space`"
"""Stands in the README of each, so that only such a folder is ever replaced."""


def requirements(*extras: str) -> list[str]:
    """What the package needs with these extras, with the versions that are installed here.

    Raises:
        CMRError: one of the packages is not installed here.
    """
    from packaging.requirements import Requirement

    found = set()
    for text in metadata.requires("cmr-hub") or ():
        needed = Requirement(text)
        wanted = needed.marker is None or any(
            needed.marker.evaluate({"extra": extra}) for extra in extras
        )
        if wanted and needed.name != "cmr-hub":  # one extra of ours names another
            found.add(f"{needed.name}=={version_here(needed.name, extras)}")
    return sorted(found)


def version_here(package: str, extras: tuple[str, ...]) -> str:
    """The installed version of a package. Raises CMRError that names the extras it is of."""
    try:
        # `2.13.0+cpu` is the same release, from another index.
        return metadata.version(package).split("+")[0]
    except metadata.PackageNotFoundError as error:
        raise CMRError(
            f"a Space needs its own packages here, to pin them ({package} is missing): "
            f"pip install 'cmr-hub[{','.join(extras)}]'"
        ) from error


def copy_package(space: Path, *, releases: bool) -> None:
    """The package's source and its licence; `releases`: with the models that come with it."""
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
    """Every file by its path in the folder; nothing that starts with a dot, no lock, no link."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.is_symlink()
        and not any(
            part.startswith(".") or part == "__pycache__" for part in path.relative_to(folder).parts
        )
    }


def copy_files(folder: Path, target: Path) -> None:
    """`files_in` a folder, to another."""
    for name, path in files_in(folder).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / name)


def refuse_foreign(out: Path) -> None:
    """Raises CMRError unless `out` is absent, empty or a Space of ours."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        readme = out / "README.md"
        if not (readme.is_file() and MADE_BY in readme.read_text(encoding="utf-8")):
            raise CMRError(f"{out} holds something else than a Space of ours; give a new directory")
