"""Packages that may not be there."""

from __future__ import annotations

import importlib
from typing import Any

from cmr_hub.errors import CMRError


def optional_import(module: str, what: str, extra: str | None = None) -> Any:
    """The module, or a CMRError that tells how to install it.

    Args:
        module: its name.
        what: needs it.
        extra: of the package that brings it; None for one that should be there and may not be.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        wanted = package if extra is None else f"'cmr-hub[{extra}]'"
        raise CMRError(f"{what}: needs {package} ({error}): pip install {wanted}") from error
