"""Backends: runtimes that run the networks of encoders on the CPU instead of torch."""

from __future__ import annotations

import importlib.util
from typing import Final

from cmr_hub.encoders.devices import Placement
from cmr_hub.errors import CMRError, UnknownNameError

BACKENDS: Final = ("auto", "torch", "onnx", "openvino")
"""`auto` is `onnx` for encoders that export quickly, and `torch` for the others."""


def backend_placement(backend: str, *, int8: bool = False) -> Placement:
    """Return the placement of a backend, in float32 or int8.

    Raises:
        UnknownNameError: There is no such backend.
        CMRError: int8 is requested with torch, or without naming a backend.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("backend", backend, list(BACKENDS))
    if backend in ("auto", "torch") and int8:
        raise CMRError("int8 needs another backend than torch: choose onnx or openvino")
    runtime = "onnx" if backend == "auto" else backend
    return Placement(precision="int8" if int8 else "float32", backend=runtime)


def has_onnx_runtime() -> bool:
    """Return whether `auto` can use another backend than torch."""
    return importlib.util.find_spec("onnxruntime") is not None
