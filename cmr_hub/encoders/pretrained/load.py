"""One backbone for each set of files: an image side and a text side share it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from cmr_hub.encoders.pretrained.backbone import Backbone
    from cmr_hub.encoders.pretrained.files import PretrainedFiles

_lock = threading.Lock()
_loaded: WeakValueDictionary[str, Backbone] = WeakValueDictionary()


def backbone(files: PretrainedFiles) -> Backbone:
    """The loaded network of these files; the same one as long as somebody has it.

    Raises:
        CMRError: the library is not installed.
        ModelFormatError: the library cannot read the files.
    """
    with _lock:
        found = _loaded.get(files.sha256)
        if found is None:
            found = _load(files)
            _loaded[files.sha256] = found
        return found


def _load(files: PretrainedFiles) -> Backbone:
    if files.library == "open_clip":
        from cmr_hub.encoders.pretrained.open_clip import OpenClipBackbone

        return OpenClipBackbone(files)
    from cmr_hub.encoders.pretrained.sentence_transformers import SentenceTransformersBackbone

    return SentenceTransformersBackbone(files)
