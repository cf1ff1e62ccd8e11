"""CMR Hub: cross-modal (image ↔ text) retrieval that can be trusted, repeated and searched.

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

# Since 1.29 ONNX Runtime sends reports to its makers and keeps a number of the device, unless this
# is set before it starts. Nothing here asks other machines unasked.
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

if not TYPE_CHECKING:  # a type checker would take every name for one of the package
    # `import cmr_hub` alone costs nothing.
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
