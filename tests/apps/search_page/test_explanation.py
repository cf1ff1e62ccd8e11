from __future__ import annotations

import json
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from cmr_hub.apps.search_page import explanation as module
from cmr_hub.apps.search_page.explanation import NO_PLACE, explanation, heat
from cmr_hub.apps.search_page.query_options import QueryOptions
from cmr_hub.errors import ImageError, QueryError
from cmr_hub.gallery.clear import Neutral
from cmr_hub.gallery.explain import (
    CELLS,
    Saliency,
    nearest_classes,
    saliency,
    word_contributions,
)


def vector_of(model, id: str, target: str):
    return model.gallery.store.rows([id]).vectors[target].matrix[0]


def test_one_result(engine, model) -> None:
    answer = engine.answer(QueryOptions(text="a wug red square", without="green"))
    hit = answer.pictures[2]
    shown = json.loads(json.dumps(explanation(engine, answer, hit.id, "image")))
    assert (shown["id"], shown["rank"], shown["class"]) == (hit.id, 3, hit.label)
    assert shown["score"] == pytest.approx(hit.score, abs=1e-5)
    assert shown["sentences"] == list(hit.sentences)
    vector = vector_of(model, hit.id, "image")
    words = word_contributions(model, answer.query, vector)
    assert [(one["word"], one["known"], one["wanted"]) for one in shown["words"]] == [
        (one.word, one.known, one.wanted) for one in words
    ]
    assert [one["score"] for one in shown["words"]] == pytest.approx(
        [one.score for one in words], abs=1e-4
    )
    assert ("wug", False) in [(one["word"], one["known"]) for one in shown["words"]]
    assert ("green", False) in [(one["word"], one["wanted"]) for one in shown["words"]]
    assert shown["classes"]["item"][0]["name"] == nearest_classes(model, vector, "image")[0].name
    assert shown["classes"]["query"][0]["name"] == "red"
    near = shown["near"]
    expected = [other.id for other in model.gallery.more_like(hit.id, 6, "image")]
    assert [other["id"] for other in near["pictures"]] == expected
    assert len(near["texts"]) == 6
    assert hit.id not in [other["id"] for other in (*near["pictures"], *near["texts"])]


def test_an_item_that_was_not_found(engine, model) -> None:
    answer = engine.answer(QueryOptions(text="a red square", count=1))
    other = model.search("a blue square", k=1)[0].id
    shown = explanation(engine, answer, other, "image")
    assert shown["rank"] is None
    assert shown["score"] == pytest.approx(
        float(answer.vector @ vector_of(model, other, "image")), abs=1e-6
    )
    assert "words" not in explanation(engine, None, other, "image")
    with pytest.raises(QueryError, match="no longer in the gallery"):
        explanation(engine, answer, "../secret", "image")


def alpha_of(drawn) -> np.ndarray:
    kind, data = drawn["picture"].split(",")
    assert kind == "data:image/png;base64"
    with Image.open(BytesIO(b64decode(data))) as picture:
        return np.asarray(picture)[..., 3].astype(float)


def test_the_map_of_a_picture(engine, model, red_square) -> None:
    """Of a picture as the query it is not known what is noise."""
    answer = engine.answer(QueryOptions(), red_square)
    hit = answer.pictures[0]
    found = heat(engine, answer, hit.id)
    gain = saliency(model, hit.path, answer.vector).cells.clip(0)
    np.testing.assert_allclose(alpha_of(found), 255 * 0.8 * gain / gain.max(), atol=0.51)
    assert found["box"] == {
        "left": "0.000%",
        "top": "0.000%",
        "width": "100.000%",
        "height": "100.000%",
    }
    with pytest.raises(QueryError, match="search again"):
        heat(engine, None, hit.id)
    with pytest.raises(QueryError, match="search again"):
        heat(engine, answer, "none")


def spread_of(size: float, dim: int) -> Neutral:
    """Neutral sentences that score 0 on average, and differ by this much in every direction."""
    return Neutral(np.zeros(dim, dtype=np.float32), size * np.eye(dim, dtype=np.float32))


def test_what_stands_out_from_neutral_sentences(engine, model, monkeypatch) -> None:
    answer = engine.answer(QueryOptions(text="a red square"))
    hit = answer.pictures[0]
    neutral = spread_of(1, model.dim)
    asked = []

    def found(highest: float):
        z = np.linspace(-9, highest, CELLS**2, dtype=np.float32).reshape(CELLS, CELLS)

        def saliency(*arguments):
            asked.append(arguments[-1])
            return Saliency(np.sign(z), (0, 0, 1, 1), z)

        monkeypatch.setattr(module, "saliency", saliency)
        return z

    monkeypatch.setattr(model.gallery.store, "_neutral", neutral)
    z = found(5)
    alpha = alpha_of(heat(engine, answer, hit.id))
    np.testing.assert_allclose(alpha, 255 * 0.8 * np.where(z >= 3, z / 6, 0), atol=0.6)
    found(2.9)
    assert heat(engine, answer, hit.id) == {"id": hit.id, "nothing": NO_PLACE}
    assert asked == [neutral, neutral]


def test_words_that_do_not_stand_out_have_no_bar(engine, model, monkeypatch) -> None:
    answer = engine.answer(QueryOptions(text="a wug red square"))
    hit = answer.pictures[0]
    scores = [one["score"] for one in explanation(engine, answer, hit.id, "image")["words"]]
    size = max(map(abs, scores)) / 1.5
    monkeypatch.setattr(model.gallery.store, "_neutral", spread_of(size, model.dim))
    shown = explanation(engine, answer, hit.id, "image")["words"]
    expected = [min(abs(score) / size / 2, 1) if abs(score) >= size else 0 for score in scores]
    assert max(expected) == pytest.approx(0.75)
    assert [one["strength"] for one in shown] == pytest.approx(expected, abs=2e-3)


def test_the_map_of_a_picture_that_has_moved(make_model) -> None:
    from cmr_hub.apps.search_page.engine import Engine

    model = make_model()
    engine = Engine(model, model.gallery)
    answer = engine.answer(QueryOptions(text="a red square"))
    path = answer.pictures[0].path
    path.parent.rename(path.parent.with_name("elsewhere"))
    with pytest.raises(ImageError):
        heat(engine, answer, answer.pictures[0].id)
