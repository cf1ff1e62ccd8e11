"""Load the networks of pretrained encoders; both sides of a dual encoder share one network."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from cmr_hub.encoders.pretrained.backbone import Backbone
    from cmr_hub.encoders.pretrained.files import PretrainedFiles


class Backbones:
    """Cache of networks by files, for as long as they are in use.

    Each model has a separate cache, so that moving a model to a device does not move the networks
    of other models.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: WeakValueDictionary[str, Backbone] = WeakValueDictionary()

    def get(self, files: PretrainedFiles) -> Backbone:
        """Return the network of these files.

        Raises:
            CMRError: The library is not installed.
            ModelFormatError: The library cannot read the files.
        """
        with self._lock:
            network = self._loaded.get(files.sha256)
            if network is None:
                network = self._loaded[files.sha256] = _load(files)
            return network


_by_name = Backbones()


def backbone(files: PretrainedFiles) -> Backbone:
    """Return the network of these files, for encoders created by name; see `Backbones`."""
    return _by_name.get(files)


def _load(files: PretrainedFiles) -> Backbone:
    if files.library == "open_clip":
        from cmr_hub.encoders.pretrained.open_clip import OpenClipBackbone

        return OpenClipBackbone(files)
    from cmr_hub.encoders.pretrained.sentence_transformers import SentenceTransformersBackbone

    return SentenceTransformersBackbone(files)
