"""Tiny encoders, and their exports, made once for all tests here."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cmr_hub.encoders.backends import backend_placement
from cmr_hub.encoders.backends.convert import export_image_encoder, export_text_encoder
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.encoders.images.pretrained import PretrainedImageEncoder
from cmr_hub.encoders.pretrained.files import PretrainedFiles
from cmr_hub.encoders.pretrained.load import backbone
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder


@pytest.fixture(scope="session")
def clip_files(tmp_path_factory):
    """A tiny CLIP with random weights, as transformers saves it."""
    from cmr_hub.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder = tmp_path_factory.mktemp("clip")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(f"{x}</w>" for x in letters), "do", "dog</w>"]
    words += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: at for at, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\nd o\ndo g</w>\n")
    tokenizer = CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )
    side = {"height": 32, "width": 32}
    CLIPProcessor(
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=side), tokenizer
    ).save_pretrained(folder)
    small = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = CLIPConfig(
        text_config={
            **small,
            "vocab_size": len(words),
            "hidden_size": 16,
            "bos_token_id": len(words) - 2,
            "eos_token_id": len(words) - 1,
            "pad_token_id": len(words) - 1,
        },
        vision_config={**small, "hidden_size": 24, "image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    return PretrainedFiles.of(folder)


@pytest.fixture(scope="session")
def clip_image(clip_files):
    return PretrainedImageEncoder(backbone(clip_files))


@pytest.fixture(scope="session")
def clip_text(clip_files):
    return PretrainedTextEncoder(backbone(clip_files))


@pytest.fixture(scope="session")
def compact():
    """With random weights that do tell pictures apart."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = CompactEncoder.build()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.1)
                module.momentum = 1.0
        network.train()(torch.randn(8, 3, 1, 1) + torch.randn(8, 3, 128, 128) / 4)
        return CompactEncoder(network.eval().state_dict(), "file")


@pytest.fixture(scope="session")
def sentence(build_sentence_model, tmp_path_factory):
    folder = build_sentence_model(tmp_path_factory.mktemp("bert"))
    return text_encoder("sentence", source=str(folder)).fit([])


@pytest.fixture(scope="session")
def compact_int8(compact):
    return export_image_encoder(compact, backend_placement("onnx", int8=True))


@pytest.fixture(scope="session")
def clip_image_onnx(clip_image):
    return export_image_encoder(clip_image, backend_placement("onnx"))


@pytest.fixture(scope="session")
def clip_text_openvino(clip_text):
    return export_text_encoder(clip_text, backend_placement("openvino"))


@pytest.fixture(scope="session")
def clip_text_onnx(clip_text):
    return export_text_encoder(clip_text, backend_placement("onnx"))


@pytest.fixture(scope="session")
def sentence_onnx(sentence):
    return export_text_encoder(sentence, backend_placement("onnx"))


@pytest.fixture(scope="session")
def sentence_int8(sentence):
    return export_text_encoder(sentence, backend_placement("onnx", int8=True))


@pytest.fixture(scope="session")
def pictures():
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (9, 5, 6, 3), dtype=np.uint8)
    return [Image.fromarray(one).resize((60, 50), Image.Resampling.BICUBIC) for one in small]
