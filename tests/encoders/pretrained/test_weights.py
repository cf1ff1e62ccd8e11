"""Weights that are missing, damaged or of half precision: refused, or made whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from own_library import own_library
from safetensors.torch import load_file, save_file

import cmr_hub
from cmr_hub.errors import ModelFormatError, WeightsError

LOST = [
    ("clip", "text_projection.weight"),
    ("clip", "vision_model.embeddings.class_embedding"),
    ("siglip", "text_model.head.bias"),
    ("siglip", "vision_model.head.probe"),
    ("siglip2-naflex", "vision_model.post_layernorm.weight"),
    ("chinese-clip", "text_model.encoder.layer.1.attention.self.key.bias"),
    ("align", "text_projection.bias"),
    ("metaclip-2", "visual_projection.weight"),
    # The row of a text is taken from this head, though other networks do without theirs.
    ("vision-text", "text_model.pooler.dense.weight"),
    ("open_clip-vit", "text_projection"),
    ("open_clip-mobileclip", "visual.trunk.head.fc.weight"),
    ("open_clip-siglip2", "text.ln_final.weight"),
]


def changed(
    source: Path, target: Path, change: Callable[[dict[str, torch.Tensor]], object]
) -> Path:
    """A copy of a model with other tensors."""
    shutil.copytree(source, target)
    (weights,) = target.glob("*.safetensors")
    tensors = load_file(weights)
    change(tensors)
    save_file(tensors, weights, {"format": "pt"})
    return target


@pytest.mark.parametrize(("family", "tensor"), LOST)
def test_missing(family, tensor, tiny, tmp_path) -> None:
    broken = changed(tiny(family), tmp_path / "lost", lambda tensors: tensors.pop(tensor))
    with pytest.raises(ModelFormatError, match=tensor.replace(".", r"\.")):
        cmr_hub.load(broken, device="cpu")


@pytest.mark.parametrize(("family", "tensor"), LOST[::3])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_not_finite(family, tensor, value, tiny, tmp_path) -> None:
    broken = changed(
        tiny(family), tmp_path / "nan", lambda tensors: tensors[tensor].view(-1)[-1:].fill_(value)
    )
    with pytest.raises(WeightsError, match=tensor.replace(".", r"\.")):
        cmr_hub.load(broken, device="cpu")


@pytest.mark.parametrize("family", ["clip", "siglip2-naflex", "align", "open_clip-mobileclip"])
def test_half_precision_is_computed_in_float32(family, tiny, tmp_path, pictures) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        for name, value in tensors.items():
            tensors[name] = value.half() if value.is_floating_point() else value

    half = changed(tiny(family), tmp_path / "half", halve)
    if (half / "config.json").exists():
        config = json.loads((half / "config.json").read_text())
        (half / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    model = cmr_hub.load(half, device="cpu")
    network = model.image.encoder.backbone.network
    kinds = {value.dtype for value in network.state_dict().values() if value.is_floating_point()}
    assert kinds == {torch.float32}

    def whole(tensors: dict[str, torch.Tensor]) -> None:
        for name, value in tensors.items():
            tensors[name] = value.half().float() if value.is_floating_point() else value

    same = own_library(family, changed(tiny(family), tmp_path / "whole", whole))
    given = list(pictures.values())[:3]
    np.testing.assert_allclose(model.encode_images(given), same.images(given), atol=1e-5)
    np.testing.assert_allclose(model.encode_texts(["a dog"]), same.texts(["a dog"]), atol=1e-5)


@pytest.mark.parametrize("family", ["clip", "open_clip-vit"])
def test_tensors_without_values(family, tiny, tmp_path, monkeypatch) -> None:
    if family == "clip":
        import sentence_transformers as library

        name = "SentenceTransformer"
    else:
        import open_clip as library

        name = "create_model_from_pretrained"
    whole = getattr(library, name)

    def left_on_meta(*args: object, **options: object) -> object:
        made = whole(*args, **options)
        network = made[0] if isinstance(made, tuple) else made
        network.register_buffer("position_ids", torch.empty(3, device="meta"))
        return made

    monkeypatch.setattr(library, name, left_on_meta)
    # Of another content, or the network that is loaded already would be taken.
    other = changed(
        tiny(family), tmp_path / "other", lambda tensors: tensors["logit_scale"].zero_()
    )
    with pytest.raises(WeightsError, match="position_ids"):
        cmr_hub.load(other, device="cpu")
