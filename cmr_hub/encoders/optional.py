"""Import of optional packages."""

from __future__ import annotations

import importlib
from typing import Any

from cmr_hub.errors import CMRError


def optional_import(module: str, what: str, extra: str | None = None) -> Any:
    """Import a module, or raise a CMRError that explains how to install it.

    Args:
        module: Name of the module.
        what: Feature that needs the module, for the error message.
        extra: Extra of this package that installs the module; None if there is none.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        target = package if extra is None else f"'cmr-hub[{extra}]'"
        raise CMRError(f"{what} needs {package} ({error}): pip install {target}") from error
