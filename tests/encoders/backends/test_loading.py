"""Models loaded with a backend, and what galleries say of them."""

import numpy as np
import pytest

import cmr_hub
from cmr_hub.encoders.backends import convert
from cmr_hub.errors import CMRError, ModelFormatError, UnknownNameError
from cmr_hub.gallery.items import Item
from cmr_hub.loading import open_gallery


@pytest.fixture(scope="module")
def clip(clip_files):
    return cmr_hub.load(clip_files.directory, device="cpu")


def test_embeddings_are_as_in_torch(
    clip, clip_files, clip_image_onnx, clip_text_openvino, pictures
) -> None:
    onnx = cmr_hub.load(clip_files.directory, backend="onnx")
    openvino = cmr_hub.load(clip_files.directory, backend="openvino")
    assert clip.fingerprint == onnx.fingerprint == openvino.fingerprint
    np.testing.assert_allclose(
        onnx.encode_images(pictures), clip.encode_images(pictures), atol=1e-5
    )
    texts = ["a dog", "two men run"]
    np.testing.assert_allclose(openvino.encode_texts(texts), clip.encode_texts(texts), atol=1e-5)


def test_galleries_of_float32_are_searched_with_any_backend(
    clip, clip_files, clip_image_onnx, pictures, tmp_path
) -> None:
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(tmp_path / f"{number}.png")
        picture.save(paths[-1])
    gallery = cmr_hub.Gallery.create(tmp_path / "gallery", clip, model_name=clip.source)
    gallery.add([Item(path.name, path) for path in paths])
    for name in (None, clip_files.directory):
        found = open_gallery(tmp_path / "gallery", name, backend="onnx")
        hits = found.search(paths[4], 3, "image")
        assert hits[0].id == "4.png"
        assert hits[0].score == pytest.approx(1, abs=1e-5)
        with pytest.raises(ModelFormatError, match="cannot be compared"):
            open_gallery(tmp_path / "gallery", name, backend="onnx", int8=True)


def test_int8_is_another_model(clip, clip_files) -> None:
    int8 = {
        cmr_hub.load(clip_files.directory, backend=name, int8=True).fingerprint
        for name in ("onnx", "openvino")
    }
    assert len(int8 | {clip.fingerprint}) == 3
    other = clip.with_backend("onnx", int8=True)
    assert other.fingerprint in int8
    assert other.image.identity == other.image.identity != clip.image.identity


def test_the_fingerprint_stays_when_an_encoder_is_built(
    clip_files, clip_image_onnx, sentence, sentence_int8, pictures
) -> None:
    model = cmr_hub.load(clip_files.directory, backend="onnx")
    before = model.fingerprint
    model.encode_images(pictures[:1])
    assert model.fingerprint == before
    from cmr_hub.models.towers import TextTower

    tower = TextTower(sentence, None).run_by(convert.export_text_encoder, sentence_int8.placement)
    assert tower.identity == tower.encoder.identity == sentence_int8.identity
    assert tower.encoder.fingerprint == sentence_int8.fingerprint


def test_a_gallery_that_was_saved_with_the_model(saved_model, caplog) -> None:
    torch = cmr_hub.load(saved_model, device="cpu")
    onnx = cmr_hub.load(saved_model, backend="onnx")
    assert isinstance(onnx.gallery, cmr_hub.Gallery)
    # Its texts are counted words, which no network reads: nothing is exported for them.
    assert [hit.id for hit in onnx.search("flame")] == [hit.id for hit in torch.search("flame")]
    assert not caplog.messages
    assert cmr_hub.load(saved_model, backend="onnx", int8=True).gallery is None
    assert "is not attached to the int8 model" in caplog.text


def test_what_is_refused(clip, clip_files, clip_image_onnx, pictures, tmp_path) -> None:
    for options in ({"device": "cuda"}, {"precision": "float16"}):
        with pytest.raises(CMRError, match="onnx runs on the CPU"):
            cmr_hub.load(clip_files.directory, backend="onnx", **options)
    with pytest.raises(UnknownNameError, match="torch, onnx, openvino"):
        cmr_hub.load(clip_files.directory, backend="tflite")
    with pytest.raises(CMRError, match="int8"):
        cmr_hub.load(clip_files.directory, int8=True)
    assert clip.with_backend("torch") is clip
    onnx = cmr_hub.load(clip_files.directory, backend="onnx")
    onnx.encode_images(pictures[:1])
    with pytest.raises(CMRError, match="load it without a backend"):
        onnx.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
