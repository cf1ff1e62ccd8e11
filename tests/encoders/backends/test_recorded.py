"""Sentences for pretrained dual encoders whose export runs without their library."""

import os
import pickle
import shutil

import numpy as np
import pytest
from at_once import at_once
from searched import HEAVY, searched
from tiny_models import FAMILIES

import cmr_hub
from cmr_hub.encoders.backends import backend_placement, recorded
from cmr_hub.encoders.backends.convert import export_text_encoder
from cmr_hub.encoders.backends.recorded import RecordedBackbone, record
from cmr_hub.encoders.pretrained import load as networks
from cmr_hub.encoders.pretrained.files import PretrainedFiles
from cmr_hub.encoders.pretrained.load import backbone
from cmr_hub.encoders.pretrained.sentence_transformers import SentenceTransformersBackbone
from cmr_hub.encoders.texts.pretrained import PretrainedTextEncoder
from cmr_hub.errors import CMRError, ModelFormatError, StorageError, UnknownWordsError
from cmr_hub.gallery.indexing.index import index_folder

TEXTS = ["a dog", "A DOG, über cafés", "狗 🐕\u200d🦺 <|endoftext|> <b>", "two men run " * 60, "x"]
DOCUMENTS = [("a dog", "A red bus!"), (), ("", "  "), ("\ud800 dog",), ("dog " * 100, "狗" * 50)]


@pytest.fixture(scope="module")
def in_torch(clip_files):
    return cmr_hub.load(clip_files.directory, device="cpu")


@pytest.fixture
def no_network(monkeypatch):
    """No network of a pretrained encoder can be built."""
    monkeypatch.setattr(networks, "_load", lambda _: pytest.fail("a network of torch is built"))


@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_rows_are_those_of_torch(
    backend, in_torch, clip_files, clip_text_onnx, clip_text_openvino, no_network
) -> None:
    model = cmr_hub.load(clip_files.directory, backend=backend)
    assert (model.fingerprint, model.dim) == (in_torch.fingerprint, in_torch.dim)
    assert model.logit_scale == pytest.approx(in_torch.logit_scale)
    own, other = model.text.encoder, in_torch.text.encoder
    assert own.placement.backend == backend
    found, expected = own.transform(DOCUMENTS), other.transform(DOCUMENTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not found[1:3].any()
    assert np.abs(found[0] - found[3]).max() > 1e-3
    np.testing.assert_allclose(model.encode_texts(TEXTS), in_torch.encode_texts(TEXTS), atol=1e-5)
    for name in ("name", "source", "fingerprint", "identity"):
        assert getattr(own, name) == getattr(other, name)
    assert own.state() == other.state()
    with pytest.raises(UnknownWordsError):
        model.encode_texts([" "])


def test_in_threads_and_other_processes(clip_files, clip_text_onnx, no_network) -> None:
    model = cmr_hub.load(clip_files.directory, backend="onnx")
    texts = TEXTS * 8
    expected = clip_text_onnx.transform([(text,) for text in texts])
    works = [lambda: model.text.encoder.transform([(text,) for text in texts])] * 4
    for found in [
        *at_once(works),
        pickle.loads(pickle.dumps(model.text.encoder)).transform([(text,) for text in texts]),
    ]:
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_cut_text_is_told_of_once(clip_files, clip_text_onnx, no_network, caplog) -> None:
    model = cmr_hub.load(clip_files.directory, backend="onnx")
    model.encode_texts(["dog " * 75])
    assert not caplog.records
    model.encode_texts(["dog " * 76, "cat " * 90])
    model.encode_texts(["dog " * 76])
    (told,) = caplog.records
    assert "for example: dog dog" in told.getMessage()


def test_the_image_side_is_built_for_a_picture(
    in_torch, clip_files, clip_text_onnx, clip_image_onnx, pictures
) -> None:
    model = cmr_hub.load(clip_files.directory, backend="onnx")
    found, expected = model.encode_images(pictures), in_torch.encode_images(pictures)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert model.fingerprint == in_torch.fingerprint


def test_int8_is_exported_from_the_network(
    in_torch, clip_files, clip_text_onnx, tmp_path, monkeypatch
) -> None:
    model = cmr_hub.load(clip_files.directory, backend="onnx", int8=True)
    assert model.fingerprint != in_torch.fingerprint
    monkeypatch.setattr(networks, "_load", lambda files: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.encode_texts(TEXTS)


def test_a_saved_model(in_torch, clip_files, clip_text_onnx, tmp_path, no_network) -> None:
    in_torch.save_pretrained(tmp_path / "saved")
    model = cmr_hub.load(tmp_path / "saved", backend="onnx")
    np.testing.assert_allclose(model.encode_texts(TEXTS), in_torch.encode_texts(TEXTS), atol=1e-5)


def test_a_search_from_the_shell(
    in_torch, clip_files, clip_text_onnx, clip_image_onnx, pictures, tmp_path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(len(pictures))]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    gallery = cmr_hub.Gallery.create(tmp_path / "gallery", in_torch, model_name=in_torch.source)
    index_folder(gallery, folder, workers=1)
    options = ("--backend", "onnx", "--device", "cpu")
    hits, modules = searched(str(tmp_path / "gallery"), "a dog", *options)
    assert not modules & HEAVY
    scores = in_torch.encode_images(paths) @ in_torch.encode_texts(["a dog"])[0]
    assert [hit["path"] for hit in hits] == [str(paths[place]) for place in np.argsort(-scores)]
    np.testing.assert_allclose([hit["score"] for hit in hits], np.sort(scores)[::-1], atol=1e-5)


@pytest.mark.parametrize("name", ["clip", "siglip2", "chinese-clip", "metaclip-2", "vision-text"])
def test_tokens_are_those_of_the_library(name, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "cache"))
    FAMILIES[name](tmp_path / name)
    library = backbone(PretrainedFiles.of(tmp_path / name))
    record(library)
    own = recorded.recorded(library.files)
    assert own is not None
    assert (own.image_dim, own.text_dim) == (library.image_dim, library.text_dim)
    for texts in (TEXTS, TEXTS[:1], ["", "a"], ["Strauß\tfährt\r\n", "ÉCOLE №5 ™", "a" * 300]):
        found, expected = own.arrays(texts), library.arrays(texts)
        assert found.keys() == expected.keys()
        for part in found:
            np.testing.assert_array_equal(found[part], expected[part])
        assert [own.is_cut(text) for text in texts] == [library.is_cut(text) for text in texts]


def changed(longest=77, **facts):
    """A description of the tokeniser that leads to other tokens."""
    real = SentenceTransformersBackbone.tokeniser

    def described(self):
        before, tokenizer = real(self)
        assert tokenizer.count('"max_length":77') == 1
        return {**before, **facts}, tokenizer.replace('"max_length":77', f'"max_length":{longest}')

    return described


@pytest.mark.parametrize(
    "tokeniser",
    [
        lambda _: None,
        lambda _: 1 / 0,
        changed(prompt="query: "),
        changed(longest=76),
        changed(longest=78),
    ],
    ids=["none", "fails", "prompt", "shorter", "longer"],
)
def test_the_library_is_used_where_tokens_differ(
    tokeniser, clip_text, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(SentenceTransformersBackbone, "tokeniser", tokeniser)
    record(clip_text.backbone)
    assert recorded.recorded(clip_text.backbone.files) is None


def test_the_library_is_used_where_nothing_is_recorded(
    in_torch, clip_files, clip_text_onnx, monkeypatch
) -> None:
    monkeypatch.setattr(recorded, "cached", lambda *_: None)
    model = cmr_hub.load(clip_files.directory, backend="onnx")
    assert not isinstance(model.text.encoder.backbone, RecordedBackbone)
    np.testing.assert_allclose(model.encode_texts(TEXTS), in_torch.encode_texts(TEXTS), atol=1e-5)


def test_a_cache_that_cannot_be_written(clip_text, clip_text_onnx, monkeypatch, caplog) -> None:
    def full(*_):
        raise StorageError("the disk is full")

    monkeypatch.setattr(recorded, "cached_or_made", full)
    again = export_text_encoder(clip_text, backend_placement("onnx"))
    np.testing.assert_array_equal(again.transform(DOCUMENTS), clip_text_onnx.transform(DOCUMENTS))
    told = [one.levelno for one in caplog.records if one.name == recorded.__name__]
    assert told == []


def test_changed_weights_are_not_answered_from_the_export(
    in_torch, clip_files, clip_text_onnx, tmp_path
) -> None:
    directory = shutil.copytree(clip_files.directory, tmp_path / "clip")
    model = cmr_hub.load(directory, backend="onnx")
    assert model.fingerprint == in_torch.fingerprint
    weights = directory / "model.safetensors"
    before, content = weights.stat(), bytearray(weights.read_bytes())
    content[-64:] = bytes(64)
    weights.write_bytes(content)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    other = cmr_hub.load(directory, backend="onnx")
    assert other.fingerprint != in_torch.fingerprint
    assert recorded.recorded(PretrainedFiles.of(directory)) is None
    with pytest.raises(ModelFormatError, match="have changed since it was loaded: load it again"):
        model.encode_images(["any.png"])
    shutil.rmtree(directory)
    with pytest.raises(ModelFormatError, match="the files of clip were removed"):
        model.encode_images(["any.png"])


def test_it_has_no_network(clip_files, clip_text_onnx, clip_text_openvino) -> None:
    encoder = cmr_hub.load(clip_files.directory, backend="onnx").text.encoder
    found = encoder.rows(encoder.tokens(["a dog"])).numpy()
    (expected,) = encoder.transform([("a dog",)])
    np.testing.assert_allclose(found[0], expected * np.linalg.norm(found), atol=1e-5)
    plain = PretrainedTextEncoder(encoder.backbone)
    for ask in (
        lambda: plain.transform([("a dog",)]),
        lambda: encoder.backbone.image_transform,
        lambda: encoder.backbone.images({}),
        encoder.backbone.reload,
    ):
        with pytest.raises(CMRError, match="uses another backend"):
            ask()
