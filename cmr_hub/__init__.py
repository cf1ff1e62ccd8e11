"""CMR Hub: cross-modal (image ↔ text) retrieval that can be trusted, repeated and searched.

Example:
    >>> from cmr_hub import load                                            # doctest: +SKIP
    >>> model = load("runs/pascal")                                         # doctest: +SKIP
    >>> model.search("two men on a motorbike", k=5)                         # doctest: +SKIP
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

from cmr_hub.version import __version__

if TYPE_CHECKING:
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.loading import load
    from cmr_hub.model_training import train
    from cmr_hub.models.catalogue import list_models
    from cmr_hub.models.cross_modal import CrossModalModel

# Since 1.29 ONNX Runtime sends reports to its makers and keeps a number of the device, unless this
# is set before it starts. Nothing here asks other machines unasked.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = ["CrossModalModel", "Gallery", "__version__", "list_models", "load", "train"]

# Imported when first used: `import cmr_hub` alone costs nothing.
_LAZY = {
    "CrossModalModel": "cmr_hub.models.cross_modal",
    "Gallery": "cmr_hub.gallery.gallery",
    "list_models": "cmr_hub.models.catalogue",
    "load": "cmr_hub.loading",
    "train": "cmr_hub.model_training",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
