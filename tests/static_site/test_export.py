"""Models as ONNX networks and JSON, without a browser."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest

from cmr_hub.checksums import sha256_of_file
from cmr_hub.datasets.images import read_image
from cmr_hub.errors import CMRError
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower
from cmr_hub.static_site import export
from cmr_hub.static_site.export import MANIFEST, Pairs, export_model
from cmr_hub.static_site.tokens import text_input


@pytest.fixture
def checked_on_few(monkeypatch, few_pairs) -> None:
    monkeypatch.setattr(Pairs, "included", classmethod(lambda cls: few_pairs))


@pytest.mark.parametrize("int8", [False, True])
def test_the_networks_give_the_vectors_of_the_model(
    gallery, checked_on_few, few_pairs, tmp_path, int8
) -> None:
    manifest = export_model(gallery.model, tmp_path / "out", int8=int8)
    out = tmp_path / "out"
    assert json.loads((out / MANIFEST).read_text()) == manifest
    for name, record in manifest["files"].items():
        assert record["sha256"] == sha256_of_file(out / name)
    # Independent of the export's own check: runs the files with ONNX Runtime, in one batch.
    how = json.loads((out / "preprocessing.json").read_text())
    side = how["side"]
    pictures = [
        np.asarray(read_image(path, enough=how["enough"]).resize((side, side), 2), np.float32)
        for path in few_pairs.pictures[:4]
    ]
    pixels = (np.stack(pictures) / 255 - how["mean"]) / how["std"]
    network = onnxruntime.InferenceSession(out / "image.onnx")
    (rows,) = network.run(None, {"pixels": pixels.transpose(0, 3, 1, 2).astype(np.float32)})
    expected = gallery.model.encode_images(few_pairs.pictures[:4])
    least = 0.99 if int8 else 0.9999
    assert (rows * expected).sum(1).min() > least
    tokens = json.loads((out / "tokens.json").read_text())["vocabulary"]
    network = onnxruntime.InferenceSession(out / "text.onnx")
    ids = [[tokens.index(word) for word in ("two", "red", "buses")]]
    (rows,) = network.run(None, {"ids": np.array(ids, np.int64)})
    assert (rows * gallery.model.encode_texts(["two red buses"])).sum() > least


def test_an_export_that_differs_is_refused(gallery, checked_on_few, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(export.LEAST_COSINE, "float32", 1.5)
    with pytest.raises(
        CMRError, match=r"in float32 computes other vectors than torch: minimum cosine"
    ):
        export_model(gallery.model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_folders_are_refused(gallery, tmp_path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CMRError, match="contains no exported model"):
        export_model(gallery.model, tmp_path)


def test_encoders_that_no_browser_runs_are_refused(model, gallery, tmp_path) -> None:
    with pytest.raises(CMRError, match="text encoder bow cannot be exported"):
        text_input(model.text.required_encoder)
    encoder = gallery.model.image.required_encoder
    other = type(encoder)(encoder.state, encoder.source)
    other.preprocessing = object()  # as of CLIP
    strange = CrossModalModel(ImageTower(other, Projector(512, (), 256)), gallery.model.text)
    with pytest.raises(CMRError, match="a Python library preprocesses the pictures of compact"):
        export_model(strange, tmp_path / "out")


def test_sentence_encoders_are_described(build_sentence_model, tmp_path) -> None:
    from cmr_hub.encoders.texts.sentence import SentenceEncoder

    encoder = SentenceEncoder(source=str(build_sentence_model(tmp_path))).fit([])
    found = text_input(encoder)
    assert found.definition["max_tokens"] == 24
    assert found.definition["vocabulary"][found.prepare("a dog")["input_ids"][0, 0]] == "[CLS]"
