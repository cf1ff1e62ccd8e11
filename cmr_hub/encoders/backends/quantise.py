"""Networks in int8, by ONNX Runtime's own quantisation."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cmr_hub.encoders.optional import optional_import


def quantise(file: Path, target: Path, batches: Iterable[dict[str, np.ndarray]]) -> None:
    """Writes a network with 8-bit weights.

    Where most weights are those of convolutions, activations are 8-bit too, by ranges measured on
    `batches`; else they are made so when they come ("dynamic"), matrix by matrix, which needs no
    measuring and is more exact for transformers.

    Args:
        file: of the network in float32; others are written beside it.
        target: where to write.
        batches: what the network is shown, as named arrays.
    """
    optional_import("onnxruntime", "int8", "onnx")
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = file.with_name("prepared.onnx")
    level = logging.root.level
    try:
        logging.root.setLevel(logging.ERROR)  # it talks to the root logger
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
    """What ONNX Runtime takes batches from."""

    def __init__(self, batches: Iterable[dict[str, np.ndarray]]) -> None:
        self._left: Iterator[dict[str, np.ndarray]] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch, or None at the end."""
        return next(self._left, None)


def _is_convolutional(file: Path) -> bool:
    """Whether convolutions have more weights than products of matrices."""
    onnx: Any = optional_import("onnx", "int8", "onnx")
    graph = onnx.load(str(file), load_external_data=False).graph
    sizes = {one.name: int(np.prod(one.dims)) for one in graph.initializer}
    weights = {"Conv": 0, "MatMul": 0, "Gemm": 0}
    for node in graph.node:
        if node.op_type in weights:
            weights[node.op_type] += sizes.get(node.input[1], 0)
    return weights["Conv"] > weights["MatMul"] + weights["Gemm"]
