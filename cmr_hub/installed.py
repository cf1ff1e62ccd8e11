"""Files of the repository that lie beside the package: in a clone, or where a wheel put them."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path


def file_beside_package(name: str) -> Path | None:
    """Where `LICENSE` or another such file is; None where only the package itself was copied."""
    repository = Path(__file__).parents[1]
    if (repository / "pyproject.toml").is_file() and (repository / name).is_file():
        return repository / name
    try:
        files = metadata.files("cmr-hub") or ()
    except metadata.PackageNotFoundError:
        return None
    found = (Path(str(file.locate())) for file in files if file.name == name)
    return next((path for path in found if path.is_file()), None)
