"""What the processor offers an image encoder: other layouts, numbers and runtimes, beside ours.

    python benchmarks/runtimes.py

Ours is the network with its batch norms folded into the convolutions, channels last, float32, in
PyTorch without gradients; batches of 4, one to each core. Every rival takes the network's place in
the encoder and gets the same batches, turn by turn. Beside the time stands what it costs: the least
and the mean cosine of its features to ours, over the sketches of the embedded default's gallery,
and what the embedded default finds with it: text→image Recall@1 and class MAP over 1,000 held-out
sketches. MobileNetV2 has random weights here, so only its time is told.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ROUNDS, PICTURES, CALIBRATION = 5, 128, 64
SKETCHES = "0/1000"

Network = Callable[[Tensor], Tensor]


def in_bf16(network: nn.Module) -> Network:
    """16-bit numbers with the range of 32."""
    half = copy.deepcopy(network).to(torch.bfloat16)
    return lambda pixels: half(pixels.to(torch.bfloat16)).float()


def exported(network: nn.Module, pixels: Tensor, path: Path) -> Path:
    """The network as an ONNX file, for any batch."""
    torch.onnx.export(
        network,
        (pixels.contiguous(),),
        str(path),
        input_names=["pixels"],
        output_names=["features"],
        dynamic_shapes={next(iter(_arguments(network))): {0: torch.export.Dim.DYNAMIC}},
        dynamo=True,
        verbose=False,
    )
    return path


def _arguments(network: nn.Module) -> Any:
    import inspect

    return inspect.signature(network.forward).parameters


def in_onnx_runtime(path: Path) -> Network:
    """ONNX Runtime, one thread: the encoder has a batch for each core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])

    def run(pixels: Tensor) -> Tensor:
        (found,) = session.run(None, {"pixels": pixels.contiguous().numpy()})
        return torch.from_numpy(found)

    return run


def quantised(path: Path, pixels: Tensor) -> Path:
    """8-bit weights and activations, whose ranges are measured on these pictures."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Pictures(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(pixels.split(4))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.left, None)
            return None if batch is None else {"pixels": batch.contiguous().numpy()}

    prepared, out = path.with_suffix(".prepared.onnx"), path.with_suffix(".int8.onnx")
    quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(out),
        Pictures(),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return out


def in_openvino(network: nn.Module, pixels: Tensor) -> Network:
    """OpenVINO, one thread, 32 bits."""
    import openvino

    model = openvino.convert_model(network, example_input=pixels.contiguous())
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(model, "CPU", settings)
    return lambda pixels: torch.from_numpy(
        next(iter(compiled.infer_new_request([pixels.contiguous().numpy()]).values()))
    )
