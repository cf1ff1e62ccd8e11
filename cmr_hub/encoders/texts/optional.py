"""Packages that only some encoders need."""

from __future__ import annotations

import importlib
from typing import Any

from cmr_hub.errors import CMRError


def optional_import(module: str, encoder: str) -> Any:
    """The module, or a CMRError that tells how to get it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CMRError(
            f"{encoder}: needs {module.partition('.')[0]} ({error}): pip install 'cmr-hub[text]'"
        ) from error
