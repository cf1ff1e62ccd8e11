"""Store the weights of a network in half the space."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from cmr_hub.encoders.optional import optional_import

_LEAST: Final = 256
"""Smaller tensors are kept: they are shapes, biases and scales."""


def with_half_weights(file: Path, target: Path) -> None:
    """Write a network as one file, with large float32 matrices as float16 and a cast for each.

    Runtimes apply the casts once, when they load the network, and compute in float32. Weights of
    convolutions are kept: rounding them changes the vectors of EfficientNet-Lite2 more than all
    else, and they are few.
    """
    onnx: Any = optional_import("onnx", "export to ONNX")
    model = onnx.load(str(file))
    kept = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    casts = []
    for tensor in model.graph.initializer:
        is_float = tensor.data_type == onnx.TensorProto.FLOAT
        if not is_float or tensor.name in kept or np.prod(tensor.dims) < _LEAST:
            continue
        name, half = tensor.name, f"{tensor.name}_half"
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        if not np.isfinite(array).all():
            continue
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, half))
        casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    own = [type(node).FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*casts, *own])
    onnx.save(model, str(target))
