"""Registries: a name to `module:attribute`, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from cmr_hub.errors import UnknownNameError


def registered(kind: str, name: str, registry: Mapping[str, str]) -> Any:
    """What stands in `registry` under `name`.

    Args:
        kind: what the registry holds, for the error: "loss", "dataset".

    Raises:
        UnknownNameError: nothing does; the known names are listed, in the registry's order.
    """
    if name not in registry:
        raise UnknownNameError(kind, name, list(registry))
    module, _, attribute = registry[name].partition(":")
    return getattr(import_module(module), attribute)
