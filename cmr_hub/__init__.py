"""CMR Hub: cross-modal (image ↔ text) retrieval. Train models, evaluate them, search with them.

Example:
    >>> import cmr_hub                                                      # doctest: +SKIP
    >>> model = cmr_hub.load()                                              # doctest: +SKIP
    >>> model.search("two men on a motorbike", k=5)                         # doctest: +SKIP
    >>> model = cmr_hub.train("flickr8k", objective="infonce")              # doctest: +SKIP
    >>> print(cmr_hub.evaluate(model, "flickr8k"))                          # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cmr_hub.lazy_names import lazy_names
from cmr_hub.version import __version__

if TYPE_CHECKING:
    from cmr_hub import datasets, encoders, losses, metrics
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.gallery.items import Item
    from cmr_hub.gallery.query import Mix
    from cmr_hub.hit import Hit
    from cmr_hub.loading import load
    from cmr_hub.model_evaluation import evaluate
    from cmr_hub.model_training import train
    from cmr_hub.models.catalogue import list_models
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.models.projector import Projector
    from cmr_hub.training.presets import PRESETS, Preset

# ONNX Runtime 1.29 and later sends telemetry and stores a device ID, unless this variable is set
# before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "PRESETS",
    "CrossModalModel",
    "Gallery",
    "Hit",
    "Item",
    "Mix",
    "Preset",
    "Projector",
    "__version__",
    "datasets",
    "encoders",
    "evaluate",
    "list_models",
    "load",
    "losses",
    "metrics",
    "train",
]

if not TYPE_CHECKING:  # otherwise a type checker accepts any name as an attribute
    # Names are imported on first use, so that `import cmr_hub` is fast.
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "CrossModalModel": "cmr_hub.models.cross_modal:CrossModalModel",
            "Gallery": "cmr_hub.gallery.gallery:Gallery",
            "Hit": "cmr_hub.hit:Hit",
            "Item": "cmr_hub.gallery.items:Item",
            "Mix": "cmr_hub.gallery.query:Mix",
            "PRESETS": "cmr_hub.training.presets:PRESETS",
            "Preset": "cmr_hub.training.presets:Preset",
            "Projector": "cmr_hub.models.projector:Projector",
            "datasets": "cmr_hub.datasets",
            "encoders": "cmr_hub.encoders",
            "evaluate": "cmr_hub.model_evaluation:evaluate",
            "list_models": "cmr_hub.models.catalogue:list_models",
            "load": "cmr_hub.loading:load",
            "losses": "cmr_hub.losses",
            "metrics": "cmr_hub.metrics",
            "train": "cmr_hub.model_training:train",
        },
    )
