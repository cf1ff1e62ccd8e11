"""Make `import torchvision` work with a torch it was not built for.

A torchvision built for CUDA cannot load its compiled operators with a CPU-only torch, and its
import then fails with "operator torchvision::nms does not exist", though models and transforms do
not need them. If the schemas of the two operators are declared first, the import succeeds; calling
them still fails, with torch's own message.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import PathFinder
from threading import Lock

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# torch removes a library's operators when the object that declared them is collected.
_declared: torch.library.Library | None = None
_declaring = Lock()  # torch refuses a second declaration


def ensure_torchvision() -> None:
    """Call this before importing torchvision, or a package that imports it (transformers).

    Does nothing if torchvision is already imported, if its operators can be loaded, or if it is
    not installed (importing it then raises an error).
    """
    global _declared  # noqa: PLW0603
    with _declaring:
        if _declared is not None or "torchvision" in sys.modules:
            return
        package = importlib.util.find_spec("torchvision")
        if package is None or _operators_load(list(package.submodule_search_locations or [])):
            return
        _declared = torch.library.Library("torchvision", "DEF")
        for schema in _SCHEMAS:
            _declared.define(schema)


def _operators_load(package_folders: list[str]) -> bool:
    extension = PathFinder.find_spec("_C", package_folders)
    if extension is None or extension.origin is None:
        return False
    try:
        torch.ops.load_library(extension.origin)
    except OSError:
        return False
    return True
