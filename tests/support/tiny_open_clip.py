"""Tiny open_clip models with random weights, saved by open_clip without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from tiny_models import SPACE, WIDTH, gemma_tokenizer_file, spread, write_json

from cmr_hub.encoders.torchvision_ops import ensure_torchvision

ensure_torchvision()

import open_clip  # noqa: E402

OPENAI = {
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def save(directory: Path, model: dict[str, Any], preprocess: dict[str, Any]) -> None:
    """Save a model of this configuration with random weights."""
    text = {name: value for name, value in model["text_cfg"].items() if name != "hf_tokenizer_name"}
    kind = open_clip.CustomTextCLIP if model.get("custom_text") else open_clip.CLIP
    given = {name: value for name, value in model.items() if name != "custom_text"}
    network = spread(kind(**{**given, "text_cfg": text}))
    directory.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, directory / "open_clip_model.safetensors")
    config = {"model_cfg": model, "preprocess_cfg": preprocess}
    write_json(directory / "open_clip_config.json", config)


def published(name: str, vision: dict[str, Any], text: dict[str, Any], space: int) -> Any:
    """Return a configuration of open_clip with another size."""
    config = open_clip.get_model_config(name)
    assert config is not None
    assert set(text) - {"width", "heads", "layers", "vocab_size"} == set()
    return {
        **config,
        "embed_dim": space,
        "vision_cfg": {**config["vision_cfg"], **vision},
        "text_cfg": {**config["text_cfg"], **text},
    }


def vit(directory: Path) -> None:
    """Save a ViT-B-32 with 77 tokens of CLIP's vocabulary."""
    config = published(
        "ViT-B-32",
        {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        {"width": WIDTH, "heads": 2, "layers": 2},
        SPACE,
    )
    save(directory, config, OPENAI)


def mobileclip(directory: Path) -> None:
    """Save a MobileCLIP2-S0: a convolutional timm network and a text transformer without mask."""
    config = published(
        "MobileCLIP2-S0",
        {"timm_model_name": "fastvit_t8", "image_size": 64},
        {"width": WIDTH, "heads": 2, "layers": 2},
        SPACE,
    )
    zero_to_one = {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear"}
    save(directory, config, {**zero_to_one, "resize_mode": "shortest"})


def siglip2(directory: Path) -> None:
    """Save a ViT-B-16-SigLIP2 with a tokeniser of transformers."""
    size = gemma_tokenizer_file(directory)
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "padding_side": "right",
    }
    write_json(directory / "tokenizer_config.json", tokenizer)
    config = published(
        "ViT-B-16-SigLIP2",
        {"timm_model_name": "test_vit", "image_size": 64},
        {"width": WIDTH, "heads": 2, "layers": 2, "vocab_size": size},
        64,
    )
    half = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"}
    save(directory, config, {**half, "resize_mode": "squash"})


OPEN_CLIP: dict[str, Callable[[Path], None]] = {
    "open_clip-vit": vit,
    "open_clip-mobileclip": mobileclip,
    "open_clip-siglip2": siglip2,
}
"""Models of open_clip by name."""
