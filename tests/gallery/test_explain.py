from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.texts.tokens import words
from cmr_hub.errors import CMRError, QueryError, UnknownWordsError
from cmr_hub.gallery.clear import Neutral
from cmr_hub.gallery.explain import (
    CELLS,
    nearest_classes,
    saliency,
    strengths,
    word_contributions,
)
from cmr_hub.gallery.query import Mix, query_vector, unit_rows
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower


def unit(vector) -> np.ndarray:
    vector = np.asarray(vector, dtype=np.float64)
    return vector / np.linalg.norm(vector)


@pytest.fixture
def model(model) -> CrossModalModel:
    """With a text projector that tells every word from every other."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        linear = Projector(model.text.encoder.dim, (), model.dim)
    return CrossModalModel(
        model.image,
        TextTower(model.text.encoder, linear),
        classes=model.classes,
        centroids=model.centroids,
    )


@pytest.fixture
def vector(model) -> np.ndarray:
    return unit(np.random.default_rng(5).normal(size=model.dim))


def test_words_against_a_plain_loop(model, vector):
    text = "A Picture's flame, seen seen time"
    found = word_contributions(model, text, vector)
    tokens = words(text)
    assert (
        [one.word for one in found] == tokens == ["a", "picture", "flame", "seen", "seen", "time"]
    )
    score = float(query_vector(model, text) @ vector)
    for place, one in enumerate(found):
        rest = " ".join(token for at, token in enumerate(tokens) if at != place)
        expected = score - float(query_vector(model, rest) @ vector)
        assert one.score == pytest.approx(expected, abs=1e-6)
        assert one.known
        assert one.wanted
    assert max(abs(one.score) for one in found) > 0.01


def test_words_of_a_mix_against_a_plain_loop(model, vector, colour_folder):
    picture = colour_folder / "test" / "sea0.png"
    mix = Mix((1.0, picture), (0.5, "flame seen"), (-0.3, "grass time"))
    found = word_contributions(model, mix, vector)
    assert [(one.word, one.wanted) for one in found] == [
        ("flame", True),
        ("seen", True),
        ("grass", False),
        ("time", False),
    ]

    def score(wanted, unwanted):
        whole = Mix((1.0, picture), (0.5, wanted), (-0.3, unwanted))
        return float(query_vector(model, whole) @ vector)

    whole = score("flame seen", "grass time")
    expected = [
        whole - score("seen", "grass time"),
        whole - score("flame", "grass time"),
        whole - score("flame seen", "time"),
        whole - score("flame seen", "grass"),
    ]
    np.testing.assert_allclose([one.score for one in found], expected, atol=1e-6)


def test_a_single_word_carries_the_whole_score(model, vector):
    (one,) = word_contributions(model, "flame", vector)
    assert one.score == pytest.approx(float(query_vector(model, "flame") @ vector))


def test_unknown_words_do_nothing(model, vector):
    found = word_contributions(model, "wug flame", vector)
    assert [(one.word, one.known) for one in found] == [("wug", False), ("flame", True)]
    assert found[0].score == 0
    with pytest.raises(UnknownWordsError):
        word_contributions(model, "wug blick", vector)
    assert word_contributions(model, Mix((1.0, vector)), vector) == []


def test_a_long_text_is_explained_in_part(model, vector):
    assert len(word_contributions(model, "flame " * 500, vector)) == 64


def test_a_map_against_a_plain_loop(model, vector, tmp_path):
    path = tmp_path / "wide.png"
    noise = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    found = saliency(model, path, vector)
    shown = model.image.encoder.preprocessing
    pixels = shown.pixels(read_image(path))
    mean = np.array([round(255 * value) for value in shown.mean])

    def score(view):
        features = model.image.encoder.encode_pixels(view[None])
        return float(model.image.projector.embed(features)[0].astype(np.float64) @ vector)

    step = shown.crop / CELLS
    lost = {}
    for row in range(CELLS - 1):
        for column in range(CELLS - 1):
            view = pixels.copy()
            view[int(row * step) : int((row + 2) * step)][
                :, int(column * step) : int((column + 2) * step)
            ] = mean
            lost[row, column] = score(pixels) - score(view)
    for row in range(CELLS):
        for column in range(CELLS):
            over = [
                lost[top, left]
                for top in (row - 1, row)
                for left in (column - 1, column)
                if (top, left) in lost
            ]
            assert found.cells[row, column] == pytest.approx(np.mean(over), abs=1e-5)
    # MobileNetV2 is shown the middle, 224 of 232 pixels of the shorter side.
    side = 60 * shown.crop / shown.resize
    assert found.box == pytest.approx(
        ((100 - side) / 200, (60 - side) / 120, (100 + side) / 200, (60 + side) / 120)
    )


def test_words_beside_neutral_sentences(model, vector):
    sentences = unit_rows(np.random.default_rng(2).normal(size=(40, model.dim)))
    neutral = Neutral.of_vectors(sentences.astype(np.float32))
    found = word_contributions(model, "flame seen time", vector, neutral)
    spread = float(np.std(sentences @ vector))
    assert [one.z for one in found] == pytest.approx([one.score / spread for one in found])
    assert {one.z for one in word_contributions(model, "flame seen", vector)} == {None}


def test_a_map_beside_neutral_sentences(model, vector):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    sentences = unit_rows(np.random.default_rng(2).normal(size=(4, model.dim)))
    found = saliency(model, picture, vector, Neutral.of_vectors(sentences.astype(np.float32)))
    lost = np.stack([saliency(model, picture, sentence).cells for sentence in sentences])
    expected = (found.cells - lost.mean(axis=0)) / lost.std(axis=0)
    np.testing.assert_allclose(found.z, expected, rtol=1e-2, atol=1e-2)
    assert saliency(model, picture, vector).z is None


def test_strengths():
    np.testing.assert_allclose(strengths([0.5, -1.9, 2, -3, 4, 50], 2), [0, 0, 0.5, 0.75, 1, 1])


def test_classes_against_a_plain_loop(model, vector):
    both = model.centroids
    for modality, centroids in (("image", both.images), ("text", both.texts)):
        scores = [
            (float(row @ vector), name) for row, name in zip(centroids, model.classes, strict=True)
        ]
        expected = sorted(scores, reverse=True)
        found = nearest_classes(model, vector, modality, 2)
        assert [one.name for one in found] == [name for _, name in expected[:2]]
        np.testing.assert_allclose(
            [one.score for one in found], [score for score, _ in expected[:2]], rtol=1e-5
        )
    with pytest.raises(QueryError, match=r"must have the shape \(6,\)"):
        nearest_classes(model, vector[:3], "image")


def test_models_without_classes_or_encoders(model, vector):
    bare = CrossModalModel(
        ImageTower(None, model.image.projector), TextTower(None, model.text.projector)
    )
    assert nearest_classes(bare, vector, "image") == []
    with pytest.raises(CMRError, match="cannot read words"):
        word_contributions(bare, "flame", vector)
    with pytest.raises(CMRError, match="cannot read pictures"):
        saliency(bare, Image.new("RGB", (9, 9)), vector)
