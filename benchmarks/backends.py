"""How long does a picture or a sentence take in each backend, in float32 and in int8?

    python benchmarks/backends.py [MOBILENET_V2.safetensors]

MobileNetV2 (random weights unless a file is given: they take as long as any), all-MiniLM-L6-v2, and
both sides of a CLIP of the size of ViT-B/32 with random weights. Pictures are prepared before the
clock starts, sentences are not. `single` is one at a time, `batch` many at once. A backend that
refuses an encoder, because int8 changes its rows too much, has no time.

`beside_sentence_transformers` are pictures and sentences through the same CLIP in torch and in
`SentenceTransformer.encode`; pictures are decoded before, and prepared by both.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from images import built, photographs
from minilm import minilm
from turns import beside, record, rounded, turns

from cmr_hub.encoders.backends import backend_placement
from cmr_hub.encoders.backends.convert import export_image_encoder, export_text_encoder
from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
from cmr_hub.encoders.images.pretrained import PretrainedImageEncoder
from cmr_hub.encoders.pretrained.files import PretrainedFiles
from cmr_hub.encoders.pretrained.load import backbone
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder
from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.errors import CMRError

ROUNDS = 5
PICTURES, SENTENCES, SINGLE = 16, 32, 4
OTHERS = (("onnx", False), ("onnx", True), ("openvino", False), ("openvino", True))
SENTENCE = "a dog on a beach {}"


def clip(folder: Path) -> PretrainedFiles:
    """A CLIP of the size of ViT-B/32, with random weights and letters for words."""
    ensure_torchvision()
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{x}</w>" for x in letters)]
    words += [f"unused{number}" for number in range(49406 - len(words))]
    words += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    files = (str(folder / "vocab.json"), str(folder / "merges.txt"))
    tokenizer = CLIPTokenizer(*files, model_max_length=77)
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(folder)
    return PretrainedFiles.of(folder)


def timed(work: dict[str, Callable[[], object]], per: int) -> dict[str, dict[str, float]]:
    """Milliseconds of one thing by each, and how many times as fast as torch."""
    times = turns(work, ROUNDS)
    return {
        name: {
            "ms": rounded(1000 * statistics.median(taken) / per),
            "torch_over_this": rounded(
                statistics.median(
                    own / other for own, other in zip(times["torch"], taken, strict=True)
                )
            ),
        }
        for name, taken in times.items()
    }


def in_all_backends(
    encoder: Any, export: Callable[[Any, Any], Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The encoder by backend, and why there is none."""
    found, refused = {"torch": encoder}, {}
    for backend, int8 in OTHERS:
        name = f"{backend} int8" if int8 else backend
        try:
            found[name] = export(encoder, backend_placement(backend, int8=int8))
        except CMRError as error:
            refused[name] = str(error)
    return found, refused


def pictures(encoder: ImageEncoder) -> dict[str, Any]:
    """One at a time, and many."""
    shown = np.stack([encoder.preprocessing.pixels(image) for image in photographs(PICTURES)])
    found, refused = in_all_backends(encoder, export_image_encoder)

    def one_at_a_time(own: ImageEncoder) -> None:
        for at in range(SINGLE):
            own.encode_pixels(shown[at : at + 1])

    return {
        "single": timed({name: partial(one_at_a_time, own) for name, own in found.items()}, SINGLE),
        "batch": timed(
            {name: partial(own.encode_pixels, shown) for name, own in found.items()}, PICTURES
        ),
        "refused": refused,
    }


def texts(encoder: TextEncoder) -> dict[str, Any]:
    """One at a time, and many."""
    documents = [(SENTENCE.format(number),) for number in range(SENTENCES)]
    found, refused = in_all_backends(encoder, export_text_encoder)

    def one_at_a_time(own: TextEncoder) -> None:
        for document in documents[:SINGLE]:
            own.transform([document])

    return {
        "single": timed({name: partial(one_at_a_time, own) for name, own in found.items()}, SINGLE),
        "batch": timed(
            {name: partial(own.transform, documents) for name, own in found.items()}, SENTENCES
        ),
        "refused": refused,
    }


def beside_sentence_transformers(files: PretrainedFiles) -> dict[str, Any]:
    """Ours in torch and the library's own `encode`, on the same weights."""
    from sentence_transformers import SentenceTransformer

    network = backbone(files)
    image, text = PretrainedImageEncoder(network), PretrainedTextEncoder(network)
    theirs = SentenceTransformer(str(files.directory), device="cpu")
    shown = photographs(PICTURES)
    said = [SENTENCE.format(number) for number in range(SENTENCES)]
    same = np.linalg.norm(image.encode(shown[:3]) - theirs.encode(shown[:3]))
    assert same < 1e-3, same
    encode = partial(theirs.encode, batch_size=PICTURES, show_progress_bar=False)
    rivals: dict[str, tuple[int, Callable[[], object], Callable[[], object]]] = {
        "picture": (
            SINGLE,
            lambda: [image.encode([one]) for one in shown[:SINGLE]],
            lambda: [encode([one]) for one in shown[:SINGLE]],
        ),
        "pictures": (PICTURES, lambda: image.encode(shown), lambda: encode(shown)),
        "sentence": (
            SINGLE,
            lambda: [text.transform([(one,)]) for one in said[:SINGLE]],
            lambda: [encode([one]) for one in said[:SINGLE]],
        ),
        "sentences": (
            SENTENCES,
            lambda: text.transform([(one,) for one in said]),
            lambda: encode(said),
        ),
    }
    rows = {}
    for name, (count, ours, peer) in rivals.items():
        times = turns({"ours": ours, "theirs": peer}, ROUNDS)
        rows[name] = beside(times["ours"], times["theirs"], "sentence-transformers", count)
    return rows


def main() -> None:
    weights = sys.argv[1:2]
    mobilenet = (
        image_encoder("mobilenet_v2", Path(weights[0])) if weights else built(MobileNetV2Encoder)[0]
    )
    row: dict[str, Any] = {}

    def found(name: str, figures: dict[str, Any]) -> None:
        row[name] = figures
        print(name, json.dumps(figures, indent=1), os.getloadavg(), flush=True)

    found("mobilenet_v2", pictures(mobilenet))
    found("minilm", texts(text_encoder("sentence", source=str(minilm())).fit([])))
    with tempfile.TemporaryDirectory() as folder:
        files = clip(Path(folder))
        found("beside_sentence_transformers", beside_sentence_transformers(files))
        found("clip_image", pictures(PretrainedImageEncoder(backbone(files))))
        found("clip_text", texts(PretrainedTextEncoder(backbone(files))))
    record("backends", row)


if __name__ == "__main__":
    main()
