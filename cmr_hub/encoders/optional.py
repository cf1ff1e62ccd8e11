"""Packages that only some encoders need."""

from __future__ import annotations

import importlib
from typing import Any

from cmr_hub.errors import CMRError


def optional_import(module: str, encoder: str, extra: str = "text") -> Any:
    """The module, or a CMRError that tells which extra of the package brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CMRError(
            f"{encoder}: needs {module.partition('.')[0]} ({error}): pip install 'cmr-hub[{extra}]'"
        ) from error
