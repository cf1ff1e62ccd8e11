"""What the processor offers an image encoder: other layouts, numbers and runtimes, beside ours.

    python benchmarks/runtimes.py

Ours is the network with its batch norms folded into the convolutions, channels last, float32, in
PyTorch without gradients; batches of 4, one to each core. Every rival takes the network's place in
the encoder and gets the same batches, turn by turn. Beside the time stands what it costs: the least
and the mean cosine of its features to ours, over the sketches of `sketch`'s gallery,
and what `sketch` finds with it: text→image Recall@1 and class MAP over 1,000 held-out
sketches. MobileNetV2 has random weights here, so only its time is told.
"""

from __future__ import annotations

import copy
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from images import built, photographs
from torch import Tensor, nn
from turns import record, rounded, turns

from cmr_hub import load
from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.encoders.images.fusion import fold_batch_norm
from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
from cmr_hub.experiments.transfer import evaluate_transfer
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.towers import ImageTower
from cmr_hub.releases import release_directory

ROUNDS, PICTURES, CALIBRATION = 5, 64, 32
SKETCHES = "0/1000"
OURS = "float32, batch norm folded, channels last"

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
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return path


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


def in_torch_int8(plain: nn.Module, pixels: Tensor) -> Network:
    """PyTorch's own 8-bit kernels, ranges measured on these pictures."""
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    mapping = get_default_qconfig_mapping("x86")
    prepared = prepare_fx(copy.deepcopy(plain), mapping, (pixels[:1],))
    with torch.no_grad():
        for batch in pixels.split(4):
            prepared(batch)
    converted: Network = convert_fx(prepared)
    return converted


def rivals(encoder: ImageEncoder, pixels: Tensor, folder: Path) -> dict[str, Network]:
    """By name what may stand in the place of its network; ours comes first.

    Args:
        encoder: ours.
        pixels: (N, 3, H, W), to measure ranges on.
        folder: for files.
    """
    network = encoder.build()
    network.load_state_dict(encoder.state)
    plain = encoder.blocks(network.eval()).requires_grad_(False)
    folded = fold_batch_norm(plain)
    file = exported(folded, pixels[:4], folder / f"{encoder.name}.onnx")
    return {
        OURS: encoder.network,
        "as defined": channels_first(plain),
        "channels last": copy.deepcopy(plain).to(memory_format=torch.channels_last),
        "batch norm folded": channels_first(folded),
        "ours in bfloat16": in_bf16(encoder.network),
        "int8, PyTorch": in_torch_int8(plain, pixels),
        "ONNX Runtime": in_onnx_runtime(file),
        "ONNX Runtime, int8": in_onnx_runtime(quantised(file, pixels)),
        "OpenVINO": in_openvino(folded, pixels[:4]),
    }


def channels_first(network: nn.Module) -> Network:
    """In the layout that PyTorch begins with."""
    return lambda pixels: network(pixels.contiguous())


def in_place(encoder: ImageEncoder, network: Network) -> ImageEncoder:
    """The encoder with another network."""
    other = copy.copy(encoder)
    other.network = network  # type: ignore[assignment]
    return other


def timed(encoder: ImageEncoder, networks: dict[str, Network]) -> dict[str, dict[str, Any]]:
    """Seconds a picture with each."""
    pixels = np.stack([encoder.preprocessing.pixels(image) for image in photographs(PICTURES)])
    encoders = {name: in_place(encoder, network) for name, network in networks.items()}
    times = turns(
        {name: partial(own.encode_pixels, pixels) for name, own in encoders.items()}, ROUNDS
    )
    return {
        name: {
            "seconds": rounded(statistics.median(taken) / PICTURES),
            "ours_over_this": rounded(
                statistics.median(
                    own / other for own, other in zip(times[OURS], taken, strict=True)
                )
            ),
        }
        for name, taken in times.items()
    }


def judged(
    model: CrossModalModel, networks: dict[str, Network], sketches: list[Path]
) -> dict[str, dict[str, Any]]:
    """What the features of each are worth in `sketch`."""
    encoder = model.image.encoder
    assert encoder is not None
    dataset = load_dataset("sketches", protocol=SKETCHES)
    ours = unit(encoder.encode(sketches))
    found = {}
    for name, network in networks.items():
        own = in_place(encoder, network)
        cosines = (unit(own.encode(sketches)) * ours).sum(axis=1)
        other = CrossModalModel(
            ImageTower(own, model.image.projector),
            model.text,
        )
        with tempfile.TemporaryDirectory() as cache:  # none may find the features of another
            record = evaluate_transfer(other, dataset, "test", FeatureCache(Path(cache))).record
        found[name] = {
            "least_cosine": round(float(cosines.min()), 6),
            "mean_cosine": round(float(cosines.mean()), 6),
            "recall_at_1": rounded(record["captions"]["recall_t2i"]["1"]),
            "map_avg": rounded(record["map_avg"]),
        }
        print(name, found[name], flush=True)
    return found


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main() -> None:
    model = load("sketch")
    encoder = model.image.encoder
    assert encoder is not None
    sketches = sorted((release_directory("sketch") / "pictures").iterdir())
    shown = [encoder.preprocessing(read_image(path)) for path in sketches[:CALIBRATION]]
    mobilenet, _ = built(MobileNetV2Encoder)
    noise = [mobilenet.preprocessing(image) for image in photographs(CALIBRATION)]
    with tempfile.TemporaryDirectory() as folder:
        compact = rivals(encoder, torch.stack(shown), Path(folder))
        times = timed(encoder, compact)
        other = timed(mobilenet, rivals(mobilenet, torch.stack(noise), Path(folder)))
        worth = judged(model, compact, sketches)
    row = {name: {**times[name], **worth[name]} for name in compact}
    for name, figures in row.items():
        print(name, figures, "MobileNetV2:", other[name])
    record("runtimes", {"compact": row, "mobilenet_v2": other})


if __name__ == "__main__":
    main()
