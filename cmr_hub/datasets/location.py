"""Find the folder of a dataset, by default in `$CMR_DATA_HOME`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cmr_hub.errors import DataNotFoundError

DATA_HOME = "CMR_DATA_HOME"


def find_dataset(
    name: str,
    folder: str,
    root: str | Path | None,
    *,
    layout: str,
    home_page: str,
    required: Sequence[str] = (),
) -> Path:
    """Return the absolute path of a dataset's folder.

    Args:
        name: Name of the dataset in messages.
        folder: Its folder in `$CMR_DATA_HOME`, used if `root` is None.
        root: Path of the folder.
        layout: Expected files, for the message.
        home_page: Where to get the dataset, for the message.
        required: Files or folders that must exist in it.

    Raises:
        DataNotFoundError: The folder or a required part does not exist.
    """
    home = os.environ.get(DATA_HOME)
    if root is not None:
        path = Path(root)
    elif home:
        path = Path(home) / folder
    else:
        raise not_found(name, f"no folder was given and {DATA_HOME} is not set", layout, home_page)
    path = path.expanduser().absolute()
    if not path.is_dir():
        reason = "is not a folder" if path.exists() else "does not exist"
        raise not_found(name, f"{path} {reason}", layout, home_page)
    missing = [part for part in required if not (path / part).exists()]
    if missing:
        raise not_found(name, f"{path} has no {', '.join(missing)}", layout, home_page)
    return path


def not_found(name: str, reason: str, layout: str, home_page: str) -> DataNotFoundError:
    """Return the error for a dataset that cannot be found."""
    return DataNotFoundError(
        f"{name} was not found: {reason}.\n"
        f"  Get it from {home_page}\n"
        f"  Expected layout: {layout}\n"
        f"  Pass its folder, or set {DATA_HOME} to the folder that contains all datasets."
    )
