"""ONNX Runtime where nobody has chosen a backend: for the two encoders of `photos`."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from searched import HEAVY, searched

import cmr_hub
from cmr_hub.encoders.backends import convert, export, making
from cmr_hub.encoders.backends.onnx_runtime import OnnxRuntimeSession
from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.images import EXPORTED_QUICKLY, IMAGE_ENCODERS, image_encoder
from cmr_hub.encoders.images.efficientnet_lite2 import EfficientNetLite2Encoder
from cmr_hub.encoders.packaged import WeightsPackage
from cmr_hub.encoders.texts import sentence_files, text_encoder
from cmr_hub.errors import CMRError, WeightsError
from cmr_hub.gallery.items import Item
from cmr_hub.models import cross_modal
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower

TEXTS = ["two dogs run on a beach", "night", "A red bus 🚌 in the rain, seen from above. " * 20]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unasked")


@pytest.fixture(scope="module")
def cache(folder) -> Path:
    """Where the exports of these tests are."""
    return folder / "cache"


@pytest.fixture(autouse=True)
def _cache(cache, monkeypatch) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(cache))


@pytest.fixture(scope="module")
def saved(folder) -> Path:
    """A model of the two encoders, with random projectors."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        image, text = (
            Projector(dim, (32,), 16, output="sphere")
            for dim in (EfficientNetLite2Encoder.dim, 384)
        )
    model = CrossModalModel(
        ImageTower(image_encoder("efficientnet_lite2"), image),
        TextTower(text_encoder("sentence").fit([]), text),
    )
    model.save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def pictures(folder) -> list[Path]:
    generator = np.random.default_rng(0)
    paths = []
    for number in range(5):
        small = generator.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(small).resize((300, 200), Image.Resampling.BICUBIC).save(paths[-1])
    return paths


@pytest.fixture(scope="module")
def in_torch(saved) -> CrossModalModel:
    return cmr_hub.load(saved, backend="torch", device="cpu")


@pytest.fixture(scope="module")
def exported(saved, pictures, cache) -> Path:
    """The model, once both of its networks are exported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CMR_CACHE_HOME", str(cache))
        model = cmr_hub.load(saved, device="cpu")
        model.encode_images(pictures[:1])
        model.encode_texts(TEXTS[:1])
    return saved


def backend_of(tower: ImageTower | TextTower) -> str:
    return tower.required_encoder.placement.backend


def refuse(*arguments: object, **options: object) -> None:
    pytest.fail("a network of torch is built")


def test_vectors_are_those_of_torch(exported, in_torch, pictures, monkeypatch) -> None:
    monkeypatch.setattr(EfficientNetLite2Encoder, "build", refuse)
    monkeypatch.setattr(sentence_files, "_build", refuse)
    model = cmr_hub.load(exported, device="cpu")
    assert (backend_of(model.image), backend_of(model.text)) == ("onnx", "onnx")
    monkeypatch.undo()
    assert model.fingerprint == in_torch.fingerprint
    found, expected = model.encode_images(pictures), in_torch.encode_images(pictures)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.abs(expected[0] - expected[1]).max() > 1e-2
    np.testing.assert_allclose(model.encode_texts(TEXTS), in_torch.encode_texts(TEXTS), atol=1e-4)
    own, other = model.image.required_encoder, in_torch.image.required_encoder
    assert own.weights_sha256 == other.weights_sha256
    assert own.preprocessing == other.preprocessing
    assert own.fingerprint == other.fingerprint
    assert model.text.unknown_words("a ꙮ") == in_torch.text.unknown_words("a ꙮ") == ["ꙮ"]


def test_exports_are_told_and_made_once(saved, tmp_path, pictures, monkeypatch, caplog) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path))
    for _ in range(2):
        cmr_hub.load(saved, device="cpu").encode_texts(TEXTS)
    assert caplog.text.count("Exporting sentence for onnx in float32; this happens once") == 1


def test_an_export_of_another_preprocessing_is_not_taken(exported, monkeypatch) -> None:
    kind = EfficientNetLite2Encoder
    monkeypatch.setattr(kind, "preprocessing", type(kind.preprocessing)(resize=128, crop=128))
    with pytest.raises(CMRError, match="another preprocessing"):
        _ = cmr_hub.load(exported, device="cpu").image.required_encoder


def test_a_precision_or_another_choice_means_torch(exported) -> None:
    for options in ({"precision": "float32"}, {"precision": "bfloat16"}, {"backend": "torch"}):
        model = cmr_hub.load(exported, device="cpu", **options)
        assert (backend_of(model.image), backend_of(model.text)) == ("torch", "torch")


def test_an_accelerator_means_torch(exported, monkeypatch) -> None:
    moved = []
    monkeypatch.setattr(Placement, "of", classmethod(lambda cls, *_: cls("cuda", "bfloat16")))
    monkeypatch.setattr(CrossModalModel, "to", lambda self, *given, **_: moved.append(given))
    model = cmr_hub.load(exported)
    assert moved == [("cuda",)]
    assert model.image.movable is model.image
    assert backend_of(model.text) == "torch"


def test_what_moves_is_run_by_torch(exported) -> None:
    model = cmr_hub.load(exported, device="cpu").to("cpu", precision="bfloat16")
    assert model.text.required_encoder.placement.backend == "torch"
    assert model.image.required_encoder.placement == Placement("cpu", "bfloat16")
    asked = cmr_hub.load(exported, backend="onnx")
    with pytest.raises(CMRError, match="backend torch"):
        asked.image.required_encoder.to(Placement("cpu", "bfloat16"))


def test_it_is_saved_as_in_torch(exported, tmp_path, pictures, caplog) -> None:
    model = cmr_hub.load(exported, device="cpu")
    before = model.encode_images(pictures[:2])
    model.save_pretrained(tmp_path / "again")
    again = cmr_hub.load(tmp_path / "again", device="cpu")
    assert again.fingerprint == model.fingerprint
    np.testing.assert_array_equal(again.encode_images(pictures[:2]), before)
    first, second = (
        (folder / "model.safetensors").read_bytes() for folder in (exported, tmp_path / "again")
    )
    assert first == second
    assert not caplog.messages


def test_without_a_cache_torch_runs_it(
    saved, in_torch, tmp_path, pictures, monkeypatch, caplog
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "file" / "cache"))
    model = cmr_hub.load(saved, device="cpu")
    np.testing.assert_array_equal(model.encode_texts(TEXTS), in_torch.encode_texts(TEXTS))
    found, expected = model.encode_images(pictures), in_torch.encode_images(pictures)
    np.testing.assert_array_equal(found, expected)
    assert [one.levelno for one in caplog.records] == [logging.WARNING] * 2
    assert caplog.text.count("uses torch, which is slower") == 2


def test_what_cannot_be_exported_is_run_by_torch(
    saved, in_torch, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path))

    def fail(*_, **__):
        raise CMRError("cannot be exported")

    monkeypatch.setattr(making, "export_onnx", fail)
    model = cmr_hub.load(saved, device="cpu")
    np.testing.assert_array_equal(model.encode_texts(TEXTS), in_torch.encode_texts(TEXTS))
    assert "uses torch, which is slower: cannot be exported" in caplog.text
    with pytest.raises(CMRError, match="cannot be exported"):
        cmr_hub.load(saved, backend="onnx").encode_texts(TEXTS)


def test_without_tracing_the_slow_way_is_taken(tmp_path, monkeypatch, caplog) -> None:
    network = torch.nn.Linear(3, 2)
    monkeypatch.setattr(export, "_trace", lambda *_: 1 / 0)
    with caplog.at_level(logging.INFO):
        export.export_onnx(
            network,
            lambda batch: network(batch["rows_of_three"]),
            {"rows_of_three": torch.randn(2, 3)},
            tmp_path / "network.onnx",
            "tiny",
            is_quick=True,
        )
    assert "tiny is exported without tracing, which is slower: division by zero" in caplog.text
    rows = np.ones((5, 3), np.float32)
    found = OnnxRuntimeSession(tmp_path / "network.onnx")({"rows_of_three": rows})
    np.testing.assert_allclose(found, network(torch.from_numpy(rows)).detach(), atol=1e-6)


def test_without_onnx_runtime_torch_runs_it(exported, monkeypatch, caplog) -> None:
    monkeypatch.setattr(cross_modal, "has_onnx_runtime", lambda: False)
    model = cmr_hub.load(exported, device="cpu")
    assert model.text.movable is model.text
    assert backend_of(model.text) == "torch"
    assert not caplog.messages


def test_changed_weights_are_not_exported(saved, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path))
    real = WeightsPackage.checked

    def changed(self, file):
        if file.endswith((".safetensors", ".pth")):
            raise WeightsError(f"{file}: other SHA-256")
        return real(self, file)

    monkeypatch.setattr(WeightsPackage, "checked", changed)
    model = cmr_hub.load(saved, device="cpu")
    for encode in (lambda: model.encode_texts(TEXTS), lambda: model.image.required_encoder):
        with pytest.raises(CMRError, match="other SHA-256"):
            encode()


def test_other_encoders_stay_in_torch(clip_files, saved_model, monkeypatch) -> None:
    assert set(IMAGE_ENCODERS) > EXPORTED_QUICKLY == {"efficientnet_lite2"}
    monkeypatch.setattr(convert, "cached_or_made", refuse)
    for name in (clip_files.directory, saved_model):
        model = cmr_hub.load(name, device="cpu")
        assert model.image.movable is model.image
        assert model.text.movable is model.text


@pytest.fixture(scope="module")
def gallery(exported, folder, pictures, cache) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CMR_CACHE_HOME", str(cache))
        model = cmr_hub.load(exported, device="cpu")
        made = cmr_hub.Gallery.create(folder / "gallery", model, model_name=model.source)
        made.add([Item(path.name, path) for path in pictures])
    return folder / "gallery"


def test_a_search_from_the_shell_imports_nothing_heavy(gallery, in_torch, pictures) -> None:
    hits, modules = searched(str(gallery), TEXTS[0], "-k", "5", "--device", "cpu")
    assert not modules & HEAVY
    vector = in_torch.encode_texts(TEXTS[:1])[0]
    scores = in_torch.encode_images(pictures) @ vector
    order = np.argsort(-scores)
    assert [hit["id"] for hit in hits] == [pictures[place].name for place in order]
    np.testing.assert_allclose([hit["score"] for hit in hits], scores[order], atol=1e-4)


def test_a_picture_needs_no_torch_either(gallery, pictures) -> None:
    arguments = (str(gallery), "--image", str(pictures[3]), "--target", "image")
    hits, modules = searched(*arguments, "--device", "cpu")
    assert not modules & HEAVY
    assert hits[0]["id"] == "3.png"
    assert hits[0]["score"] == pytest.approx(1, abs=1e-5)
