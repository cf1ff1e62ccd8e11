"""What the encoders of `photos` and a search from the shell take, beside plain loops and torch.

    python benchmarks/photos.py [MODEL]

MODEL is a directory or a release with the encoders `efficientnet_lite2` and `sentence`, by default
`photos`: how long it takes does not depend on what its projectors have learnt.

- `picture`: pictures that are resized. Ours makes floats of the bytes first; the loops are given
  floats. The loop in PyTorch, channels last, has the best of several batches; those in ONNX Runtime
  and OpenVINO run a network that PyTorch's own exporter wrote, one picture after the other with all
  threads.
- `sentence`: one sentence alone, from the text to its vector, beside sentence-transformers with the
  same weights, and beside a loop over ONNX Runtime that is given tokens.
- `shell`: `cmr search` in a gallery of 5,000 items, from the command to its last line, beside the
  same with `--backend torch`, and beside a search of the sketches that come with the package, whose
  encoders torch runs. Networks are exported before the clock starts.

Vectors are compared first: rivals that differ are no rivals.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from comparisons import LOOP, MINILM, ONNX_LOOP, OPENVINO_LOOP, TORCH
from images import loop, photographs
from minilm import sentence_transformer
from turns import beside, record, turns

from cmr_hub import Gallery, load
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.models.cross_modal import CrossModalModel

ROUNDS, PICTURES, SENTENCES, ITEMS = 7, 48, 40, 5_000
BATCHES = (1, 4, 8, 16, 32)
SENTENCE = "two red buses on a street at night, {} of them"
CMR = [sys.executable, "-c", "from cmr_hub.cli import main; main()"]

Rows = dict[str, dict[str, object]]


def compared(
    ours: Callable[[], np.ndarray], peers: dict[str, Callable[[], np.ndarray]], count: int
) -> Rows:
    """A row for each peer, once all have given the same."""
    expected = ours()
    for name, peer in peers.items():
        # A channel that is never on is nothing here and a thousandth there: its root is steep.
        np.testing.assert_allclose(peer(), expected, rtol=1e-3, atol=2e-3, err_msg=name)
    times = turns({"ours": ours, **peers}, ROUNDS)
    return {name: beside(times["ours"], times[name], name, count) for name in peers}


def exported(network: torch.nn.Module, pixels: torch.Tensor, path: Path) -> str:
    """The network as PyTorch's exporter writes it."""
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
    return str(path)


def picture(model: CrossModalModel, in_torch: CrossModalModel, folder: Path) -> Rows:
    """Many pictures, one cost each."""
    import onnxruntime
    import openvino

    encoder, plain = model.image.required_encoder, in_torch.image.required_encoder
    pixels = np.stack([encoder.preprocessing.pixels(image) for image in photographs(PICTURES)])
    floats = plain.preprocessing.normalised(pixels)
    network = plain.network.to(memory_format=torch.channels_last)
    last = floats.contiguous(memory_format=torch.channels_last)
    times = turns({str(size): partial(loop, network, last, size) for size in BATCHES}, 2)
    best = min(BATCHES, key=lambda size: min(times[str(size)]))
    print(f"PyTorch is fastest in batches of {best}")
    file = exported(network, floats[:2], folder / "network.onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    compiled = openvino.compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    singles = [one[np.newaxis] for one in floats.contiguous().numpy()]

    def in_onnx_runtime() -> np.ndarray:
        return np.concatenate([session.run(None, {"pixels": one})[0] for one in singles])

    def in_openvino() -> np.ndarray:
        return np.concatenate([compiled(one)[0] for one in singles])

    return compared(
        partial(encoder.encode_pixels, pixels),
        {
            LOOP: partial(loop, network, last, best),
            ONNX_LOOP: in_onnx_runtime,
            OPENVINO_LOOP: in_openvino,
        },
        PICTURES,
    )


def sentence(model: CrossModalModel, in_torch: CrossModalModel) -> Rows:
    """One sentence after the other."""
    encoder = model.text.required_encoder
    said = [SENTENCE.format(number) for number in range(SENTENCES)]
    theirs = sentence_transformer()
    tokens = [in_torch.text.required_encoder.tokens([one]) for one in said]
    given = [{name: one.numpy() for name, one in batch.items()} for batch in tokens]
    session: Any = encoder._run  # type: ignore[attr-defined] # what it was exported to
    import onnxruntime

    plain = onnxruntime.InferenceSession(str(session.file), providers=["CPUExecutionProvider"])
    return compared(
        lambda: np.concatenate([encoder.transform([(one,)]) for one in said]),
        {
            MINILM: lambda: np.stack([theirs.encode(one) for one in said]),
            ONNX_LOOP: lambda: np.concatenate([plain.run(None, batch)[0] for batch in given]),
        },
        SENTENCES,
    )


def shell(model: CrossModalModel, folder: Path) -> Rows:
    """From the command to its last line."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(ITEMS, model.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    items = items_table(Item(f"{n}", folder / f"{n}.jpg") for n in range(ITEMS))
    gallery = Gallery.from_vectors(items, image_embeddings=vectors, model_id=model.fingerprint)
    gallery.save(folder / "gallery")

    def search(name: str, *options: str) -> None:
        command = [*CMR, "search", name, SENTENCE.format("two"), "--device", "cpu", *options]
        subprocess.run(command, check=True, capture_output=True)

    ours = partial(search, str(folder / "gallery"), "--model", str(model.source))
    rivals = {
        "ours": ours,
        TORCH: partial(ours, *TORCH.split()),
        "sketch": partial(search, "sketch"),
    }
    times = turns(rivals, ROUNDS)
    return {name: beside(times["ours"], times[name], name) for name in rivals if name != "ours"}


def main() -> None:
    name = sys.argv[1] if sys.argv[1:] else "photos"
    model, in_torch = load(name, device="cpu"), load(name, device="cpu", backend="torch")
    row: dict[str, Rows] = {}
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, Callable[[], Rows]] = {
            "picture": partial(picture, model, in_torch, Path(folder)),
            "sentence": partial(sentence, model, in_torch),
            "shell": partial(shell, model, Path(folder)),
        }
        for part, measure in parts.items():
            row[part] = measure()
            for peer, figures in row[part].items():
                print(part, peer, figures, flush=True)
    record("photos", {**row, "threads": torch.get_num_threads()})


if __name__ == "__main__":
    main()
