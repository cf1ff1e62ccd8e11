"""How long does an encoder take for a picture, beside the same network in plain PyTorch?

    python benchmarks/images.py

- `bare`: pictures that are decoded, cut and resized, beside a loop over batches of 32 through the
  network as it is defined, in evaluation mode without gradients. Ours has to make floats of the
  bytes first, the loop is given floats.
- `pipeline`: open pictures of 500 x 375, beside the `image-feature-extraction` pipeline of
  transformers with MobileNetV2 at the same size. It takes the faster of batches of 1 and of 32.
- `decoding`: a JPEG file of 12 megapixels, smooth noise too, to the pixels that MobileNetV2 is
  shown, beside the same with the file decoded whole by Pillow.
- `batches`: the cost of a picture against the size of the batch, ours and the bare loop.

Weights are random: they take as long as any. Both have as many threads as torch takes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from turns import beside, record, rounded, turns

from cmr_hub.datasets.images import decode_image
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
from cmr_hub.encoders.images.vgg16 import VGG16Encoder

ROUNDS = 3
BATCH = 32
ENCODERS: dict[type[ImageEncoder], int] = {
    CompactEncoder: 256,
    MobileNetV2Encoder: 64,
    VGG16Encoder: 16,
}
"""With the number of pictures of a round."""
SIZES = (1, 2, 4, 8, 16, 32)


def photographs(count: int) -> list[Image.Image]:
    """Smooth noise, 500 x 375."""
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (count, 12, 16, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize((500, 375), Image.Resampling.BICUBIC) for one in small]


def built(kind: type[ImageEncoder]) -> tuple[ImageEncoder, torch.nn.Module]:
    """An encoder, and the network that it is made of as it is defined."""
    torch.manual_seed(0)
    network = kind.build().eval()
    return kind(network.state_dict(), "file"), kind.blocks(network)


def loop(network: torch.nn.Module, pixels: torch.Tensor, size: int = BATCH) -> np.ndarray:
    """What one writes first."""
    with torch.no_grad():
        return torch.cat([network(batch) for batch in pixels.split(size)]).numpy()


def bare() -> dict[str, object]:
    """Each encoder beside its own network in a plain loop."""
    row = {}
    for kind, count in ENCODERS.items():
        encoder, network = built(kind)
        pixels = np.stack([kind.preprocessing.pixels(image) for image in photographs(count)])
        floats = kind.preprocessing.normalised(pixels)
        np.testing.assert_allclose(
            encoder.encode_pixels(pixels[:8]), loop(network, floats[:8]), rtol=1e-3, atol=1e-4
        )
        times = turns(
            {
                "ours": partial(encoder.encode_pixels, pixels),
                "bare": partial(loop, network, floats),
            },
            ROUNDS,
        )
        row[kind.name] = beside(times["ours"], times["bare"], "plain PyTorch loop", count)
        print(kind.name, row[kind.name], flush=True)
    return row


def pipeline() -> dict[str, object]:
    """MobileNetV2 from open pictures, beside transformers' pipeline."""
    from transformers import (
        MobileNetV2Config,
        MobileNetV2ImageProcessor,
        MobileNetV2Model,
    )
    from transformers import pipeline as make_pipeline

    encoder, _ = built(MobileNetV2Encoder)
    side = encoder.preprocessing.crop
    processor = MobileNetV2ImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    model = MobileNetV2Model(MobileNetV2Config(image_size=side))
    peer = make_pipeline(
        "image-feature-extraction", model=model, image_processor=processor, device="cpu"
    )
    images = photographs(ENCODERS[MobileNetV2Encoder])

    def extract(size: int) -> None:
        for features in peer(images, batch_size=size, pool=True, return_tensors=True):
            assert features.shape[-1] == encoder.dim

    rivals: dict[str, Callable[[], object]] = {"ours": partial(encoder.encode, images)}
    times = turns(rivals | {str(size): partial(extract, size) for size in (1, BATCH)}, ROUNDS)
    best = min("1", str(BATCH), key=lambda size: sum(times[size]))
    row = beside(times["ours"], times[best], "transformers pipeline", len(images))
    print("pipeline", row, flush=True)
    return {**row, "peer_batch_size": int(best)}


def decoding() -> dict[str, object]:
    """A photograph as cameras make them, beside Pillow."""
    shown, file = MobileNetV2Encoder.preprocessing, BytesIO()
    (image,) = photographs(1)
    image.resize((4000, 3000), Image.Resampling.BICUBIC).save(file, "JPEG", quality=88)
    data = file.getvalue()
    times = turns(
        {
            "ours": lambda: shown.pixels(decode_image(data, enough=shown.enough)),
            "whole": lambda: shown.pixels(Image.open(BytesIO(data)).convert("RGB")),
        },
        10,
    )
    row = beside(times["ours"], times["whole"], "Pillow, decoded whole")
    print("decoding", row, flush=True)
    return row


def batches() -> dict[str, list[dict[str, float]]]:
    """Milliseconds a picture against the size of the batch."""
    curves = {}
    for kind in (CompactEncoder, MobileNetV2Encoder):
        encoder, network = built(kind)
        count = ENCODERS[kind] // max(SIZES) * max(SIZES) or max(SIZES)
        pixels = np.stack([kind.preprocessing.pixels(image) for image in photographs(count)])
        floats = kind.preprocessing.normalised(pixels)
        curves[kind.name] = []
        for size in SIZES:
            encoder.batch_size = size  # type: ignore[misc]
            rivals = {
                "ours": partial(encoder.encode_pixels, pixels),
                "bare": partial(loop, network, floats, size),
            }
            row = beside(*turns(rivals, 3).values(), "plain PyTorch loop", count)
            curves[kind.name].append(
                {
                    "batch": size,
                    "milliseconds": rounded(1000 * row["seconds"]),
                    "bare_milliseconds": rounded(1000 * row["peer_seconds"]),
                }
            )
        print(kind.name, curves[kind.name], flush=True)
    return curves


def main() -> None:
    row = {**bare(), "pipeline": pipeline(), "decoding": decoding(), "batches": batches()}
    record("images", {**row, "threads": torch.get_num_threads()})


if __name__ == "__main__":
    main()
