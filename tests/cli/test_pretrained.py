"""A pretrained dual encoder through the whole product: a tiny CLIP in a directory.

Its vectors are compared with those that transformers gives by itself.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest
from tiny_clip import DIM

from cmr_hub import cli, load
from cmr_hub.apps.dashboard.navigation import page_file
from cmr_hub.apps.dashboard.raw_features import raw_features
from cmr_hub.apps.search_page import build_page, serving
from cmr_hub.apps.search_page.about_tab import card_of
from cmr_hub.apps.search_page.engine import Engine
from cmr_hub.apps.search_page.service import Service
from cmr_hub.errors import CMRError, UnknownWordsError
from cmr_hub.gallery.explain import CELLS, saliency, word_contributions
from cmr_hub.gallery.query import Mix
from cmr_hub.loading import open_gallery
from cmr_hub.models.cross_modal import CrossModalModel

SCRIPTS = ("a dog", "собака", "犬と猫", "कुत्ता", "كلب", "🐕", "e = mc²", "a\nb\tc")


@pytest.fixture(scope="module")
def oracle(clip):
    """transformers alone: texts or pictures → unit rows, each by itself."""
    import torch
    from transformers import AutoProcessor, CLIPModel

    network, processor = CLIPModel.from_pretrained(clip).eval(), AutoProcessor.from_pretrained(clip)

    def rows(items):
        found = []
        for item in items:
            with torch.inference_mode():
                if isinstance(item, str):
                    given = processor(text=[item], return_tensors="pt")
                    row = network.get_text_features(**given)
                else:
                    opened = Image.open(item).convert("RGB")
                    given = processor(images=[opened], return_tensors="pt")
                    row = network.get_image_features(**given)
            row = getattr(row, "pooler_output", row)[0].double().numpy()
            found.append(row / np.linalg.norm(row))
        return np.array(found)

    return rows


@pytest.fixture(scope="module")
def model(clip):
    return load(clip)


@pytest.fixture(scope="module")
def indexed(clip, colour_folder, tmp_path_factory):
    """What `cmr index` makes of 36 coloured pictures."""
    out = tmp_path_factory.mktemp("indexed") / "gallery"
    command = ["cmr", "index", colour_folder, "--out", out, "--model", clip, "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(map(str, command)))
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert end.value.code == 0
    return out


@pytest.fixture(scope="module")
def gallery(indexed):
    return open_gallery(indexed)


@pytest.fixture(scope="module")
def paths(gallery):
    return [Path(path) for path in gallery.items.column("path").to_pylist()]


def best(scores, count):
    return np.argsort(-scores, kind="stable")[:count]


def same_hits(found, scores, count) -> None:
    """The hits are those of the best scores; pictures that tie may change places."""
    expected = np.sort(scores)[::-1][:count]
    np.testing.assert_allclose([hit["score"] for hit in found], expected, atol=2e-6)


# ---- encoding


def test_the_vectors_are_those_of_transformers(model, oracle, paths):
    np.testing.assert_allclose(model.encode_images(paths), oracle(paths), atol=2e-6)
    np.testing.assert_allclose(model.encode_texts(SCRIPTS), oracle(SCRIPTS), atol=2e-6)


@pytest.mark.parametrize("text", SCRIPTS)
def test_no_word_of_any_script_is_unknown(model, text):
    assert model.text.unknown_words(text) == []
    assert model.text.knows((text,))


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_an_empty_text_is_refused(model, text):
    with pytest.raises(UnknownWordsError, match="the text has no words; type a sentence"):
        model.encode_texts(["a dog", text])


# ---- the commands


def test_index(indexed, gallery, clip, oracle, paths):
    manifest = json.loads((indexed / "manifest.json").read_text())
    assert manifest["model_name"] == str(clip)
    assert len(gallery) == 36
    assert gallery.model.fingerprint == load(clip).fingerprint
    stored = gallery.vectors("image").astype(np.float64)
    np.testing.assert_allclose(stored, oracle(paths), atol=2e-6)


def test_search_by_a_sentence(cmr, indexed, oracle, paths):
    code, out, err = cmr("search", indexed, "a dog", "--json", "-k", 7)
    assert code == 0, err
    same_hits(json.loads(out), oracle(paths) @ oracle(["a dog"])[0], 7)


def test_search_by_a_picture(cmr, indexed, oracle, paths):
    code, out, err = cmr("search", indexed, "--image", paths[0], "--target", "image", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found[0]["path"] == str(paths[0])
    same_hits(found, oracle(paths) @ oracle(paths[:1])[0], 10)


@pytest.mark.parametrize("weight", [0.5, -0.5])
def test_search_by_both(cmr, indexed, oracle, paths, weight):
    arguments = ("--image", paths[0], "--weight", weight, "--target", "image", "--json")
    code, out, err = cmr("search", indexed, "a red picture", *arguments)
    assert code == 0, err
    query = oracle(paths[:1])[0] + weight * oracle(["a red picture"])[0]
    same_hits(json.loads(out), oracle(paths) @ (query / np.linalg.norm(query)), 10)


def test_more_like_it(gallery, oracle, paths):
    ids = gallery.items.column("id").to_pylist()
    found = gallery.more_like(ids[3], 5, target="image")
    scores = oracle(paths) @ oracle(paths[3:4])[0]
    scores[3] = -2
    same_hits([{"score": hit.score} for hit in found], scores, 5)
    assert ids[3] not in [hit.id for hit in found]


def test_evaluate_wants_a_dataset(cmr, clip, colour_folder):
    code, _, err = cmr("evaluate", clip)
    assert code == 2
    assert "does not record its training dataset: give a dataset with --dataset" in err
    arguments = ("--dataset", "folder", "--root", colour_folder, "--split", "test", "--json")
    code, out, err = cmr("evaluate", clip, *arguments, "--device", "cpu")
    assert code == 0, err
    record = json.loads(out)
    assert record["image_encoder"] == record["text_encoder"] == "hf:clip"
    assert record["test_texts_without_known_word"] == 0
    assert 0 < record["map_i2t"] <= 1


def test_evaluate_measures_what_transformers_gives(cmr, clip, colour_folder, oracle):
    """Mean average precision by plain loops; a document is the mean of its sentences."""
    folder = colour_folder / "test"
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    images = oracle([folder / line["file_name"] for line in lines])
    texts = np.array([oracle(line["captions"]).mean(axis=0) for line in lines])
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    labels = [line["label"] for line in lines]

    def mean_average_precision(queries, items):
        values = []
        for row, query in enumerate(queries):
            order, hits, precisions = best(items @ query, len(items)), 0, []
            for rank, at in enumerate(order, 1):
                if labels[at] == labels[row]:
                    hits += 1
                    precisions.append(hits / rank)
            values.append(np.mean(precisions))
        return np.mean(values)

    arguments = ("--dataset", "folder", "--root", colour_folder, "--json", "--device", "cpu")
    record = json.loads(cmr("evaluate", clip, *arguments)[1])
    assert record["map_i2t"] == pytest.approx(mean_average_precision(images, texts), abs=1e-6)
    assert record["map_t2i"] == pytest.approx(mean_average_precision(texts, images), abs=1e-6)


# ---- explanations


def test_what_each_word_does(gallery, model, oracle, paths):
    vector = model.encode_images(paths[:1])[0]
    found = word_contributions(model, "a red dog", vector)
    picture = oracle(paths[:1])[0]
    whole = oracle(["a red dog"])[0] @ picture
    assert [one.word for one in found] == ["a", "red", "dog"]
    for one, rest in zip(found, (" red dog", "a  dog", "a red "), strict=True):
        assert one.known
        assert one.score == pytest.approx(whole - oracle([rest])[0] @ picture, abs=1e-5)


def test_words_of_any_script_are_explained(model, paths):
    vector = model.encode_images(paths[:1])[0]
    query = Mix((1, "собака dog"), (-0.5, "犬"))
    found = word_contributions(model, query, vector)
    assert len(found) >= 3
    assert all(one.known for one in found)
    assert [one.wanted for one in found][-1] is False


def test_where_in_the_picture(model, paths):
    found = saliency(model, paths[0], model.encode_texts(["a dog"])[0])
    assert found.cells.shape == (CELLS, CELLS)
    assert np.isfinite(found.cells).all()
    assert np.ptp(found.cells) > 0
    assert found.box == (0.0, 0.0, 1.0, 1.0)


# ---- the pages


def test_the_service(gallery, oracle, paths):
    service = Service(Engine(gallery.model, gallery))
    found = service.search(text="собака", count=5, without="a cat")
    wanted, unwanted = oracle(["собака"])[0], oracle(["a cat"])[0]
    shared = max(0.0, float(unwanted @ wanted)) * wanted
    query = wanted - 0.3 * (unwanted - shared)
    same_hits(found["pictures"], oracle(paths) @ (query / np.linalg.norm(query)), 5)
    assert found["unknown_words"] == []
    assert service.search(Image.open(paths[0]), text="a dog", count=3)["pictures"]
    encoded = service.encode("a dog")
    assert encoded["dim"] == DIM
    np.testing.assert_allclose(encoded["vector"], oracle(["a dog"])[0], atol=2e-6)


def test_a_page_over_a_gallery_names_its_model(indexed, clip, monkeypatch):
    """Not the one that comes with the package; and no folder of this machine."""
    built = {}
    monkeypatch.setattr(serving, "serve", lambda page, **_: page.close())

    def build(model, **options):
        built.update(options)
        return build_page(model, **options)

    monkeypatch.setattr(serving, "build_page", build)
    serving.launch(None, gallery=indexed, host="127.0.0.1", port=None, device="cpu")
    assert built["name"] == clip.name
    assert built["gallery"] == indexed.name


def test_the_card(model):
    card = card_of(model, "user/clip", None)
    assert "Pictures and sentences are encoded by `clip`" in card
    assert "This model was not trained further" in card
    assert "## How it was trained" not in card
    assert "English" not in card
    assert "None" not in card


def test_the_map_of_the_dashboard(indexed, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["--results", str(tmp_path), "--model", str(indexed), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
    app = AppTest.from_file(page_file("gallery"), default_timeout=120)
    app.query_params["gallery"] = str(indexed)
    app.query_params["q"] = "a dog"
    app.run()
    assert not app.exception
    assert not app.warning
    assert not app.error
    assert app.selectbox(key="gallery").value == str(indexed)
    assert [header.value for header in app.header] == ["Hits"]


def test_raw_features_of_a_gallery_that_stands_alone(indexed, model, paths):
    rows = raw_features(indexed, "cpu")
    np.testing.assert_array_equal(rows, model.image.encoder.encode(paths))


# ---- saved


def test_a_saved_one_is_the_same_to_the_bit_and_shares_one_network(clip, model, tmp_path, paths):
    model.save_pretrained(tmp_path / "m")
    (folder,) = (tmp_path / "m" / "encoders").iterdir()
    assert {path.name for path in folder.iterdir()} == {path.name for path in clip.iterdir()}
    saved = load(tmp_path / "m")
    assert saved.fingerprint == model.fingerprint
    np.testing.assert_array_equal(saved.encode_images(paths), model.encode_images(paths))
    np.testing.assert_array_equal(saved.encode_texts(SCRIPTS), model.encode_texts(SCRIPTS))
    assert saved.image.encoder.backbone is saved.text.encoder.backbone
    assert saved.image.encoder_name == "hf:clip"
    with pytest.raises(CMRError, match="has no gallery"):
        saved.search("a dog")
    assert isinstance(saved, CrossModalModel)
