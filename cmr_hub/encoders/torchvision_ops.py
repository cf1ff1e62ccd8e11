"""Makes `import torchvision` work beside a torch it was not built for.

A torchvision built for CUDA cannot load its compiled operators next to a CPU-only torch, and its
import then stops with "operator torchvision::nms does not exist", though models and transforms
need none of them. Declaring the two operators' schemas first lets the import go on; calling them
still fails, with torch's own message.
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
    """Call before importing torchvision, or a package that imports it (transformers).

    Does nothing where torchvision is already imported, where its operators load, or where it is
    not installed (its own import then says so).
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
