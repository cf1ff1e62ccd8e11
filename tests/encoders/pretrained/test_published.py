"""Repositories as others have published them: their files and settings, other sizes and weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from own_library import SIGLIP, OpenClip, Transformers
from safetensors.torch import load_file, save_file
from tiny_models import SIDE, TEXT, VISION, clip_tokenizer, siglip_tokenizer, spread, write_json

import cmr_hub
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.pretrained.files import PretrainedFiles
from cmr_hub.errors import CMRError

TEXTS = ["a dog", "A Dog & the CAT!", "собака", "dog the " * 90]
CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


def openai_clip(directory: Path) -> Path:
    """openai/clip-vit-base-patch32, of 2021: sizes as bare numbers, the vocabulary as two files, an
    end of text that the configuration misnames, and a buffer among the weights."""
    import transformers

    size = clip_tokenizer(directory, legacy=True)
    token = {"__type": "AddedToken", "lstrip": False, "normalized": True, "rstrip": False}
    token["single_word"] = False
    start, end = ({**token, "content": f"<|{word}text|>"} for word in ("startof", "endof"))
    tokenizer = {
        "unk_token": end,
        "bos_token": start,
        "eos_token": end,
        "pad_token": "<|endoftext|>",
        "add_prefix_space": False,
        "errors": "replace",
        "do_lower_case": True,
        "name_or_path": "openai/clip-vit-base-patch32",
        "model_max_length": 77,
        "special_tokens_map_file": "./special_tokens_map.json",
        "tokenizer_class": "CLIPTokenizer",
    }
    write_json(directory / "tokenizer_config.json", tokenizer)
    special = {name: tokenizer[name] for name in ("unk_token", "bos_token", "pad_token")}
    special = {**special, "eos_token": end}
    write_json(directory / "special_tokens_map.json", special)
    preprocessor = {
        "crop_size": SIDE,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "resample": 3,
        "size": SIDE,
    }
    write_json(directory / "preprocessor_config.json", preprocessor)
    both = {
        "attention_dropout": 0.0,
        "dropout": 0.0,
        "hidden_act": "quick_gelu",
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-05,
        "torch_dtype": None,
        "transformers_version": "4.16.0.dev0",
        "problem_type": None,
        "tie_word_embeddings": True,
    }
    config = {
        "_name_or_path": "openai/clip-vit-base-patch32",
        "architectures": ["CLIPModel"],
        "initializer_factor": 1.0,
        "logit_scale_init_value": 2.6592,
        "model_type": "clip",
        "projection_dim": 12,
        "text_config": {
            **both,
            **TEXT,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "pad_token_id": 1,
            "max_position_embeddings": 77,
            "model_type": "clip_text_model",
            "vocab_size": size,
        },
        "text_config_dict": None,
        "torch_dtype": "float32",
        "transformers_version": None,
        "vision_config": {**both, **VISION, "model_type": "clip_vision_model"},
        "vision_config_dict": None,
    }
    write_json(directory / "config.json", config)
    network = spread(transformers.CLIPModel(transformers.CLIPConfig.from_pretrained(directory)))
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    state["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    save_file(state, directory / "model.safetensors", {"format": "pt"})
    return directory


def test_openai_clip(tmp_path, pictures) -> None:
    directory = openai_clip(tmp_path / "clip-vit-base-patch32")
    _same(directory, Transformers(directory), pictures)


def test_sentence_transformers_clip(tmp_path, pictures) -> None:
    """sentence-transformers/clip-ViT-B-32: all in a folder, which modules.json names."""
    root = tmp_path / "clip-ViT-B-32"
    inner = openai_clip(root / "0_CLIPModel")
    module = {"idx": 0, "name": "0", "path": "0_CLIPModel"}
    module["type"] = "sentence_transformers.models.CLIPModel"
    write_json(root / "modules.json", [module])
    versions = {"sentence_transformers": "2.0.0", "transformers": "4.7.0", "pytorch": "1.9.0+cu102"}
    write_json(root / "config_sentence_transformers.json", {"__version__": versions})
    (root / "README.md").write_text("# clip-ViT-B-32\n")
    (inner / "pytorch_model.bin").write_bytes(b"is not opened")
    _same(root, Transformers(inner), pictures)


def test_sentencepiece_is_asked_for(tiny, tmp_path, monkeypatch) -> None:
    from transformers.utils.import_utils import SENTENCEPIECE_IMPORT_ERROR

    def without_sentencepiece(*arguments, **options):
        raise ImportError(SENTENCEPIECE_IMPORT_ERROR.format("SiglipTokenizer"))

    _as_siglip(tiny("siglip"), tmp_path / "siglip")
    monkeypatch.setattr("sentence_transformers.SentenceTransformer", without_sentencepiece)
    with pytest.raises(CMRError, match=r"SentencePiece library, which is not installed: pip"):
        cmr_hub.load(tmp_path / "siglip", device="cpu")


def test_google_siglip(tmp_path, pictures) -> None:
    """google/siglip-base-patch16-224: settings in preprocessor_config.json, a sparse config."""
    import transformers

    directory = tmp_path / "siglip-base-patch16-224"
    size = len(siglip_tokenizer(directory))
    special = {"lstrip": True, "normalized": False, "rstrip": True, "single_word": False}
    special["special"] = True
    tokenizer = {
        "added_tokens_decoder": {
            "1": {"content": "</s>", **special},
            "2": {"content": "<unk>", **special},
        },
        "additional_special_tokens": [],
        "clean_up_tokenization_spaces": True,
        "do_lower_case": True,
        "eos_token": "</s>",
        "model_input_names": ["input_ids"],
        "model_max_length": 64,
        "pad_token": "</s>",
        "processor_class": "SiglipProcessor",
        "sp_model_kwargs": {},
        "tokenizer_class": "SiglipTokenizer",
        "unk_token": "<unk>",
    }
    write_json(directory / "tokenizer_config.json", tokenizer)
    preprocessor = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "SiglipProcessor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": SIDE, "width": SIDE},
    }
    write_json(directory / "preprocessor_config.json", preprocessor)
    config = {
        "architectures": ["SiglipModel"],
        "initializer_factor": 1.0,
        "model_type": "siglip",
        "text_config": {**TEXT, "model_type": "siglip_text_model", "vocab_size": size},
        "torch_dtype": "float32",
        "transformers_version": "4.37.0.dev0",
        "vision_config": {**VISION, "model_type": "siglip_vision_model"},
    }
    write_json(directory / "config.json", config)
    made = spread(transformers.SiglipModel(transformers.SiglipConfig.from_pretrained(directory)))
    state = {name: value.contiguous() for name, value in made.state_dict().items()}
    save_file(state, directory / "model.safetensors", {"format": "pt"})
    _same(directory, Transformers(directory, SIGLIP), pictures)


def test_openai_resizing_is_bicubic_with_antialias(tmp_path, pictures) -> None:
    """Against Pillow's, which CLIP was trained with; without antialias it would be another one."""
    directory = openai_clip(tmp_path / "clip-vit-base-patch32")
    model = cmr_hub.load(directory, device="cpu")
    shown = model.image.encoder.preprocessing
    for name in ("wide.png", "large.jpg", "tall.png"):
        picture = read_image(pictures[name])
        found = shown.pixels(picture).reshape(3, SIDE, SIDE)
        short = min(picture.size)
        width, height = (SIDE * side // short for side in picture.size)
        left, top = (width - SIDE) // 2, (height - SIDE) // 2
        smaller = picture.resize((width, height), 3)  # bicubic
        cut = np.asarray(smaller.crop((left, top, left + SIDE, top + SIDE))) / 255
        expected = ((cut - CLIP_MEAN) / CLIP_STD).transpose(2, 0, 1)
        level = 1 / 255 / min(CLIP_STD)
        assert np.abs(found - expected).max() < 2.01 * level
        # The test can fail: what is made smaller by picking pixels is far away.
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
        picked = torch.nn.functional.interpolate(pixels, (height, width), mode="bicubic")[0]
        picked = picked[:, top : top + SIDE, left : left + SIDE].numpy().transpose(1, 2, 0) / 255
        if short > SIDE:
            assert np.abs((picked - CLIP_MEAN) / CLIP_STD - expected.transpose(1, 2, 0)).max() > 0.5


def test_timm_beside_open_clip(tiny, tmp_path, pictures) -> None:
    """timm/vit_base_patch16_clip_224.openai: config.json and model.safetensors are timm's, and of
    the picture side alone; the whole model is open_clip's."""
    directory = shutil.copytree(tiny("open_clip-vit"), tmp_path / "timm")
    write_json(directory / "config.json", {"architecture": "test_vit", "num_classes": 0})
    save_file({"cls_token": torch.zeros(3)}, directory / "model.safetensors", {"format": "pt"})
    _same(directory, OpenClip(directory), pictures)


def test_open_clip_beside_transformers(tiny, tmp_path, pictures) -> None:
    """laion/CLIP-ViT-B-32-laion2B-s34B-b79K: the whole model twice. transformers' is taken."""
    directory = shutil.copytree(tiny("clip"), tmp_path / "laion")
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        shutil.copy(tiny("open_clip-vit") / name, directory)
    assert PretrainedFiles.of(directory).library == "sentence-transformers"
    assert PretrainedFiles.of(directory, "open_clip").library == "open_clip"
    _same(directory, Transformers(tiny("clip")), pictures)


def test_text_tower_of_another_repository_is_not_fetched(tiny, tmp_path) -> None:
    """open_clip's xlm-roberta-base-ViT-B-32 names one whose configuration is not on this disk."""
    import open_clip

    directory = tmp_path / "xlm"
    model = open_clip.get_model_config("xlm-roberta-base-ViT-B-32")
    write_json(directory / "open_clip_config.json", {"model_cfg": model, "preprocess_cfg": {}})
    save_file({"logit_scale": torch.zeros(())}, directory / "open_clip_model.safetensors")
    with pytest.raises(CMRError, match="'xlm-roberta-base', whose configuration is not on this"):
        cmr_hub.load(directory, device="cpu")


def _same(directory: Path, own: Transformers | OpenClip, pictures: dict[str, Path]) -> None:
    given = list(pictures.values())
    model = cmr_hub.load(directory, device="cpu")
    np.testing.assert_allclose(model.encode_images(given), own.images(given), atol=1e-5)
    np.testing.assert_allclose(model.encode_texts(TEXTS), own.texts(TEXTS), atol=1e-5)


def _as_siglip(source: Path, target: Path) -> None:
    """A copy whose tokeniser is said to be SigLIP's own."""
    for path in source.iterdir():
        if path.is_file():
            target.mkdir(exist_ok=True)
            (target / path.name).write_bytes(path.read_bytes())
    settings = json.loads((target / "tokenizer_config.json").read_text())
    write_json(target / "tokenizer_config.json", {**settings, "tokenizer_class": "SiglipTokenizer"})
    state = load_file(target / "model.safetensors")
    save_file({**state, "logit_bias": state["logit_bias"] + 1}, target / "model.safetensors")
