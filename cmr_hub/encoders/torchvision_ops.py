"""Make `import torchvision` work with a torch it was not built for.

A torchvision built for CUDA cannot load its compiled operators with a CPU-only torch. Its import
then fails with "operator torchvision::nms does not exist", although models and transforms do not
need the operators. If their schemas are declared first, the import succeeds, and only calls of the
operators fail.
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
# torch removes the operators of a library when the object that declared them is garbage-collected.
_declared: torch.library.Library | None = None
_declaring = Lock()  # torch refuses a second declaration


def ensure_torchvision() -> None:
    """Prepare the import of torchvision, or of a package that imports it (transformers).

    Nothing happens if torchvision is already imported or not installed, or if its operators can be
    loaded.
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
