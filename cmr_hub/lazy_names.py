"""Import the names of a module on first use (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(
    module: str, places: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a module.

    lazy_loader does the same, but imports `inspect` and `ast`, which takes longer than
    `import cmr_hub`.

    Args:
        module: `__name__` of the module.
        places: `module:attribute`, or `module`, by name.
    """

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        where, _, attribute = places[name].partition(":")
        found = import_module(where)
        return getattr(found, attribute) if attribute else found

    def names() -> list[str]:
        return sorted(sys.modules[module].__all__)

    return get, names
