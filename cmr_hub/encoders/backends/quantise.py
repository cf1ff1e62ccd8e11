"""Quantise networks to int8, in the form that is fast in each backend."""

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

    If most weights are those of convolutions, activations are 8-bit too, with ranges calibrated on
    `batches`. Otherwise they are quantised dynamically, which needs no calibration and is more
    accurate for transformers: by operators in the file for ONNX Runtime, and by OpenVINO itself
    if it finds 8-bit weights.

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
        logging.root.setLevel(logging.ERROR)  # it logs to the root logger
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
    """Source of batches for ONNX Runtime's calibration."""

    def __init__(self, batches: Iterable[Arrays]) -> None:
        self._left: Iterator[Arrays] = iter(batches)

    def get_next(self) -> Arrays | None:
        """Return the next batch, or None at the end."""
        return next(self._left, None)


def quantise_weights(file: Path, target: Path) -> None:
    """Replace the matrices W of products by round(W / s), with s = max |W| / 127 per column."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(file))
    graph = model.graph
    tensors = {one.name: one for one in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in tensors:
            weights = numpy_helper.to_array(tensors[node.input[1]])
            is_transposed = any(one.name == "transB" and one.i for one in node.attribute)
            columns = 0 if is_transposed else weights.ndim - 1
            others = tuple(axis for axis in range(weights.ndim) if axis != columns)
            scale = np.abs(weights).max(axis=others, keepdims=True).clip(1e-12) / 127
            own = f"int8_{len(nodes)}"
            graph.initializer.extend(
                [
                    numpy_helper.from_array(np.rint(weights / scale).astype(np.int8), own),
                    numpy_helper.from_array(scale.reshape(-1).astype(np.float32), f"{own}_scale"),
                ]
            )
            given = [own, f"{own}_scale"]
            nodes.append(
                helper.make_node("DequantizeLinear", given, [f"{own}_float"], axis=columns)
            )
            node.input[1] = f"{own}_float"
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [one for one in graph.initializer if one.name in used]
    for field, content in ((graph.node, nodes), (graph.initializer, kept)):
        copies = [type(one).FromString(one.SerializeToString()) for one in content]
        del field[:]
        field.extend(copies)
    onnx.save(model, str(target), save_as_external_data=True, location=f"{target.name}.data")


def _is_convolutional(file: Path) -> bool:
    """Return whether convolutions have more weights than matrix products."""
    onnx: Any = optional_import("onnx", "int8")
    graph = onnx.load(str(file), load_external_data=False).graph
    sizes = {one.name: int(np.prod(one.dims)) for one in graph.initializer}
    weights = {"Conv": 0, "MatMul": 0, "Gemm": 0}
    for node in graph.node:
        if node.op_type in weights:
            weights[node.op_type] += sizes.get(node.input[1], 0)
    return weights["Conv"] > weights["MatMul"] + weights["Gemm"]
