"""Networks of pictures alone and of texts alone, as encoders that projectors are trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import (
    PATCH,
    SIDE,
    TEXT,
    VISION,
    bert_tokenizer,
    spread,
    write_json,
)

import cmr_hub
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import CMRError, ModelFormatError

SQUARE = {"height": SIDE, "width": SIDE}
CLIP_SIZE = {"size": {"shortest_edge": SIDE}, "crop_size": SQUARE}


def vit(directory: Path) -> None:
    import transformers

    transformers.ViTImageProcessor(size=SQUARE).save_pretrained(directory)
    spread(transformers.ViTModel(transformers.ViTConfig(**VISION))).save_pretrained(directory)


def dinov2(directory: Path) -> None:
    import transformers

    transformers.BitImageProcessor(**CLIP_SIZE).save_pretrained(directory)
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=PATCH
    )
    spread(transformers.Dinov2Model(config)).save_pretrained(directory)


def convnext(directory: Path) -> None:
    import transformers

    transformers.ConvNextImageProcessor(size={"shortest_edge": SIDE}).save_pretrained(directory)
    config = transformers.ConvNextConfig(hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 2, 1])
    spread(transformers.ConvNextModel(config)).save_pretrained(directory)


def clip_vision(directory: Path) -> None:
    import transformers

    transformers.CLIPImageProcessor(**CLIP_SIZE).save_pretrained(directory)
    config = transformers.CLIPVisionConfig(**VISION)
    spread(transformers.CLIPVisionModel(config)).save_pretrained(directory)


def siglip_vision(directory: Path) -> None:
    import transformers

    transformers.SiglipImageProcessor(size=SQUARE).save_pretrained(directory)
    config = transformers.SiglipVisionConfig(**VISION)
    spread(transformers.SiglipVisionModel(config)).save_pretrained(directory)


def timm_wrapper(directory: Path) -> None:
    """As timm writes a repository: its own config.json, and no preprocessor's."""
    import timm

    network = spread(timm.create_model("test_vit", num_classes=5))
    settings = {**network.pretrained_cfg, "architecture": "test_vit"}
    config = {
        "architecture": "test_vit",
        "num_classes": 5,
        "num_features": network.num_features,
        "pretrained_cfg": {
            "input_size": [3, *settings["input_size"][1:]],
            **{name: settings[name] for name in ("interpolation", "crop_pct", "mean", "std")},
            "fixed_input_size": True,
            "num_classes": 5,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
        },
    }
    write_json(directory / "config.json", config)
    save_file(network.state_dict(), directory / "model.safetensors", {"format": "pt"})


VISION_ONLY: dict[str, Callable[[Path], None]] = {
    "vit": vit,
    "dinov2": dinov2,
    "convnext": convnext,
    "clip-vision": clip_vision,
    "siglip-vision": siglip_vision,
    "timm": timm_wrapper,
}


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("vision")

    def made(name: str) -> Path:
        if not (root / name).exists():
            VISION_ONLY[name](root / name)
        return root / name

    return made


@pytest.mark.parametrize("name", VISION_ONLY)
def test_pictures_alone(name, vision, pictures) -> None:
    directory = vision(name)
    given = list(pictures.values())
    expected = np.concatenate(
        [one.pooler_output.flatten(1).numpy() for one in _outputs(directory, given)]
    )
    encoder = image_encoder(f"hf:{directory}")
    assert encoder.dim == expected.shape[1]
    np.testing.assert_allclose(encoder.encode(given), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(given[3:4]), expected[3:4], rtol=1e-4, atol=1e-5)


def test_vit_without_its_pooler(vision, tmp_path, pictures) -> None:
    """Published ones often lack it. Random weights in its place would give other rows each time."""
    from sentence_transformers import SentenceTransformer

    source, directory = vision("vit"), tmp_path / "vit"
    directory.mkdir()
    for path in source.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    state = load_file(source / "model.safetensors")
    kept = {name: value for name, value in state.items() if "pooler" not in name}
    assert len(kept) == len(state) - 2
    save_file(kept, directory / "model.safetensors", {"format": "pt"})
    given = list(pictures.values())
    encoder = image_encoder(f"hf:{directory}")
    found = encoder.encode(given)
    tokens = np.concatenate(
        [one.last_hidden_state.mean(dim=1).numpy() for one in _outputs(directory, given)]
    )
    np.testing.assert_allclose(found, tokens, rtol=1e-4, atol=1e-5)
    library = SentenceTransformer(str(directory), device="cpu")
    rows = library.encode([read_image(path) for path in given])
    np.testing.assert_allclose(found, rows, rtol=1e-4, atol=1e-5)


def test_the_image_side_of_a_dual_encoder(tiny, pictures) -> None:
    given = list(pictures.values())
    encoder = image_encoder(f"hf:{tiny('clip')}")
    model = cmr_hub.load(tiny("clip"), device="cpu")
    rows = encoder.encode(given)
    np.testing.assert_array_equal(model.image.embed(rows), model.encode_images(given))
    # Each model has a network of its own, which it may move to another device.
    assert encoder.backbone is not model.image.encoder.backbone
    texts = text_encoder(f"hf:{tiny('clip')}")
    assert texts.backbone is encoder.backbone
    np.testing.assert_allclose(texts.transform([("a dog",)]), model.encode_texts(["a dog"]), 1e-6)


@pytest.fixture(scope="module")
def sentence_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with mean pooling, as sentence-transformers saves it."""
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    root = tmp_path_factory.mktemp("bert")
    tokenizer = bert_tokenizer(model_max_length=512)
    tokenizer.save_pretrained(root / "plain")
    config = transformers.BertConfig(**TEXT, vocab_size=len(tokenizer), max_position_embeddings=48)
    spread(transformers.BertModel(config)).save_pretrained(root / "plain")
    words = Transformer(str(root / "plain"), max_seq_length=24)
    pooling = Pooling(words.get_embedding_dimension(), "mean")
    SentenceTransformer(modules=[words, pooling, Normalize()], device="cpu").save(
        str(root / "sentences")
    )
    return root / "sentences"


def test_texts_alone(sentence_model, caplog) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["a dog", "A CAT sleeps.", "狗 на улице", "dog the " * 90, "https://x.invalid/a.png"]
    library = SentenceTransformer(str(sentence_model), device="cpu")
    expected = library.encode(texts, convert_to_numpy=True)
    encoder = text_encoder(f"hf:{sentence_model}")
    found = encoder.transform([(text,) for text in texts])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert encoder.backbone.is_cut("dog " * 23)  # with a beginning and an end: 25
    assert not encoder.backbone.is_cut("dog " * 22)


def test_a_document_is_the_mean_of_its_sentences(sentence_model) -> None:
    encoder = text_encoder(f"hf:{sentence_model}")
    one, two, both = encoder.transform([("a dog",), ("two cats",), ("a dog", "two cats")])
    np.testing.assert_allclose(both, (one + two) / 2, atol=1e-6)


@pytest.mark.parametrize("name", [*VISION_ONLY])
def test_one_side_is_no_model_for_search(name, vision) -> None:
    with pytest.raises(
        ModelFormatError, match=r"^\S+ does not encode texts, .*--image-encoder hf:"
    ) as told:
        cmr_hub.load(vision(name), device="cpu")
    assert "\n" not in str(told.value)


def test_texts_alone_are_no_model_for_search(sentence_model, build_sentence_model, tmp_path):
    for directory in (sentence_model, build_sentence_model(tmp_path / "bert")):
        with pytest.raises(
            ModelFormatError, match=r"does not encode pictures, .*--text-encoder hf:"
        ):
            cmr_hub.load(directory, device="cpu")
        with pytest.raises(CMRError, match="cannot encode pictures"):
            image_encoder(f"hf:{directory}")


def test_the_text_network_of_clip(tiny, tmp_path) -> None:
    """It gives the row that was trained, the state of the last token, not the mean of tokens."""
    import transformers

    network = transformers.CLIPTextModel.from_pretrained(tiny("clip")).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(tiny("clip"), processor_class=None)
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = ["a dog", "A cat on the SOFA", "dog " * 100]
    with torch.inference_mode():
        given = [tokenizer([text], truncation=True, return_tensors="pt") for text in texts]
        rows = [network(**one).pooler_output[0] for one in given]
    expected = np.stack([(row / row.norm()).numpy() for row in rows])
    found = text_encoder(f"hf:{tmp_path}").transform([(text,) for text in texts])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def _outputs(directory: Path, pictures: list[Path]) -> list[Any]:
    from transformers import AutoImageProcessor, AutoModel

    network = AutoModel.from_pretrained(directory).eval()
    processor = AutoImageProcessor.from_pretrained(directory)
    found = []
    for path in pictures:
        with torch.inference_mode():
            prepared = processor(images=[read_image(path)], return_tensors="pt")
            found.append(network(**prepared))
    return found
