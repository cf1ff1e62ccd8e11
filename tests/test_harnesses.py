"""The adapters, called as `mteb` and CLIP_benchmark call them; neither is installed here."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from cmr_hub.datasets import Folder
from cmr_hub.datasets.images import read_image
from cmr_hub.harnesses import MTEBEncoder, clip_benchmark


@pytest.fixture
def pairs(colour_folder: Any) -> tuple[list[Any], list[str]]:
    test = Folder(colour_folder).split("test")
    return [read_image(path) for path in test.images], [texts[0] for texts in test.sentences]


def test_mteb_encodes_batches_of_either_modality(model: Any, pairs: Any) -> None:
    images, texts = pairs
    encoder = MTEBEncoder(model)
    asked: dict[str, Any] = {"task_metadata": None, "hf_split": "test", "hf_subset": "default"}
    pictures = encoder.encode([{"image": images[:5]}, {"image": images[5:]}], **asked)
    np.testing.assert_allclose(pictures, model.encode_images(images), atol=1e-5)
    sentences = encoder.encode([{"text": texts, "modality": ["text"] * 12}], **asked)
    np.testing.assert_allclose(sentences, model.encode_texts(texts), atol=1e-6)
    both = encoder.encode([{"image": images, "text": texts}], batch_size=8, **asked)
    assert np.linalg.norm(both, axis=1) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose((both * pictures).sum(1), (both * sentences).sum(1), atol=1e-5)
    cosines = encoder.similarity(pictures, torch.from_numpy(sentences))
    np.testing.assert_allclose(cosines, pictures @ sentences.T, atol=1e-6)
    pairwise = encoder.similarity_pairwise(pictures, sentences)
    np.testing.assert_allclose(pairwise, np.diag(cosines), atol=1e-6)
    assert not encoder.encode([{"text": ["zzyzx"]}], **asked).any()


def test_mteb_gets_the_facts(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    models = ModuleType("mteb.models")
    models.ModelMeta = SimpleNamespace(create_empty=lambda facts: facts)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mteb", ModuleType("mteb"))
    monkeypatch.setitem(sys.modules, "mteb.models", models)
    facts = MTEBEncoder(model, "me/mine", "2").mteb_model_meta
    assert facts["name"] == "me/mine"
    assert facts["embed_dim"] == model.dim


def test_clip_benchmark_as_its_loop_calls_it(model: Any, pairs: Any) -> None:
    images, texts = pairs
    clip, transform, tokenizer = clip_benchmark(model)
    loader = DataLoader([transform(image) for image in images], batch_size=5)  # type: ignore[arg-type]
    rows = torch.cat([clip.encode_image(batch.to("cpu")) for batch in loader])
    np.testing.assert_allclose(rows, model.encode_images(images), atol=1e-5)
    words = clip.encode_text(tokenizer([*texts, "zzyzx"]).to("cpu"))
    np.testing.assert_allclose(words[:-1], model.encode_texts(texts), atol=1e-6)
    assert not words[-1].any()
