"""Import the names of a module on first use (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    module: str, locations: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a module.

    lazy_loader does the same, but imports `inspect` and `ast`, which takes longer than
    `import cmr_hub`.

    Args:
        module: `__name__` of the module.
        locations: `module:attribute`, or `module`, by name.
    """

    def get(name: str) -> Any:
        if name not in locations:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        path, _, attribute = locations[name].partition(":")
        imported = import_module(path)
        return getattr(imported, attribute) if attribute else imported

    def names() -> list[str]:
        return sorted(sys.modules[module].__all__)

    return get, names
