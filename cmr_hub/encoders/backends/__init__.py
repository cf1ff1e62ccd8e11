"""Backends: other runtimes that run an encoder's network instead of torch, on the CPU."""

from __future__ import annotations

from typing import Final

from cmr_hub.encoders.devices import Placement
from cmr_hub.errors import CMRError, UnknownNameError

BACKENDS: Final = ("torch", "onnx", "openvino")


def backend_placement(backend: str, *, int8: bool = False) -> Placement:
    """The placement of a backend's name, in float32 or int8.

    Raises:
        UnknownNameError: no such backend.
        CMRError: int8 with torch.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("backend", backend, list(BACKENDS))
    if backend == "torch" and int8:
        raise CMRError("torch runs no int8 here: choose the backend onnx or openvino for it")
    return Placement(precision="int8" if int8 else "float32", backend=backend)
