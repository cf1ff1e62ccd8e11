"""Quantise networks to int8 in the form that is fast in each backend."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cmr_hub.encoders.optional import optional_import
from cmr_hub.types import Arrays


def quantise(file: Path, target: Path, batches: Iterable[Arrays], backend: str) -> None:
    """Write a network with 8-bit weights, one scale per column or channel.

    If most weights belong to convolutions, activations are 8-bit too, with ranges calibrated on
    `batches`. Otherwise activations are quantised dynamically, which needs no calibration and is
    more accurate for transformers. ONNX Runtime needs operators in the file for this; OpenVINO
    does it for all networks with 8-bit weights.

    Args:
        file: Network in float32; intermediate files are written next to it.
        target: Path to write.
        batches: Inputs for calibration, as named arrays.
        backend: `onnx` or `openvino`.
    """
    optional_import("onnxruntime", "int8")
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = file.with_name("prepared.onnx")
    level = logging.root.level
    try:
        logging.root.setLevel(logging.ERROR)  # quant_pre_process logs to the root logger
        quant_pre_process(
            str(file), str(prepared), skip_symbolic_shape=True, save_as_external_data=True
        )
        if _is_convolutional(prepared):
            quantize_static(
                str(prepared),
                str(target),
                _Reader(batches),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        elif backend == "openvino":
            quantise_weights(prepared, target)
        else:
            quantize_dynamic(
                str(prepared),
                str(target),
                op_types_to_quantize=["MatMul", "Gemm"],
                per_channel=True,
                weight_type=QuantType.QInt8,
                use_external_data_format=True,
            )
    finally:
        logging.root.setLevel(level)


class _Reader:
    """Source of batches for the calibration of ONNX Runtime."""

    def __init__(self, batches: Iterable[Arrays]) -> None:
        self._batches: Iterator[Arrays] = iter(batches)

    def get_next(self) -> Arrays | None:
        """Return the next batch, or None at the end."""
        return next(self._batches, None)


def quantise_weights(file: Path, target: Path) -> None:
    """Replace the weights W of matrix products by round(W / s), s = max |W| / 127 per column."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(file))
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in tensors:
            weights = numpy_helper.to_array(tensors[node.input[1]])
            is_transposed = any(option.name == "transB" and option.i for option in node.attribute)
            columns = 0 if is_transposed else weights.ndim - 1
            others = tuple(axis for axis in range(weights.ndim) if axis != columns)
            scale = np.abs(weights).max(axis=others, keepdims=True).clip(1e-12) / 127
            name = f"int8_{len(nodes)}"
            graph.initializer.extend(
                [
                    numpy_helper.from_array(np.rint(weights / scale).astype(np.int8), name),
                    numpy_helper.from_array(scale.reshape(-1).astype(np.float32), f"{name}_scale"),
                ]
            )
            inputs = [name, f"{name}_scale"]
            nodes.append(
                helper.make_node("DequantizeLinear", inputs, [f"{name}_float"], axis=columns)
            )
            node.input[1] = f"{name}_float"
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    initializers = [tensor for tensor in graph.initializer if tensor.name in used]
    for field, content in ((graph.node, nodes), (graph.initializer, initializers)):
        copies = [type(message).FromString(message.SerializeToString()) for message in content]
        del field[:]
        field.extend(copies)
    onnx.save(model, str(target), save_as_external_data=True, location=f"{target.name}.data")


def _is_convolutional(file: Path) -> bool:
    """Return whether convolutions have more weights than matrix products."""
    onnx: Any = optional_import("onnx", "int8")
    graph = onnx.load(str(file), load_external_data=False).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    weights = {"Conv": 0, "MatMul": 0, "Gemm": 0}
    for node in graph.node:
        if node.op_type in weights:
            weights[node.op_type] += sizes.get(node.input[1], 0)
    return weights["Conv"] > weights["MatMul"] + weights["Gemm"]
