from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cmr_hub.apps.search_page.engine import Engine
from cmr_hub.apps.search_page.explanation import explanation
from cmr_hub.apps.search_page.facets import condition_of
from cmr_hub.apps.search_page.page import _examples
from cmr_hub.apps.search_page.query_options import MAX_LETTERS, QueryOptions, cleaned, sentence
from cmr_hub.errors import CMRError, QueryError, UnknownWordsError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.query import UNWANTED_WEIGHT, Mix


def ids(hits) -> list[str]:
    return [hit.id for hit in hits]


@pytest.fixture
def folders(model) -> Engine:
    """The gallery again, in two folders, one of them with a quotation mark."""
    items = [
        Item(
            id=row["id"],
            path=row["path"],
            sentences=tuple(row["sentences"]),
            label=row["label"],
            metadata={"folder": "o'clock" if number % 2 else "noon"},
        )
        for number, row in enumerate(model.gallery.items.to_pylist())
    ]
    gallery = Gallery.from_vectors(
        items_table(items),
        image_embeddings=model.gallery.vectors("image"),
        text_embeddings=model.gallery.vectors("text"),
        model_id=model.fingerprint,
    )
    return Engine(model, gallery)


# ---- what is asked


def test_texts_are_cleaned() -> None:
    assert cleaned("  a red\x00square\u0007\n ") == "a red square"
    assert cleaned("half \ud800 of a letter").encode()
    assert cleaned("كلب 👩‍👩‍👧 \u202ereversed") == "كلب 👩‍👩‍👧 \u202ereversed"
    assert cleaned(None) == ""
    assert cleaned("x" * MAX_LETTERS) == "x" * MAX_LETTERS
    for wrong, why in (
        ("x" * 100_000, "100,000 characters, and a query may have at most 2,000"),
        (7, "a text"),
    ):
        with pytest.raises(QueryError, match=why):
            cleaned(wrong)


def test_errors_are_sentences() -> None:
    assert sentence(CMRError("no such thing")) == "No such thing."
    assert sentence(CMRError("It ends.")) == "It ends."


# ---- what is found


def test_words_find_pictures_in_the_order_of_the_model(engine, model) -> None:
    for colour in ("red", "green", "blue"):
        answer = engine.answer(QueryOptions(text=f"a {colour} square", count=5))
        expected = model.search(f"a {colour} square", k=5)
        assert ids(answer.pictures) == ids(expected)
        assert [hit.score for hit in answer.pictures] == pytest.approx(
            [hit.score for hit in expected], abs=1e-6
        )
        assert answer.texts is None
        assert [hit.label for hit in answer.pictures][:4] == [colour] * 4


def test_a_picture_finds_both(engine, model, red_square) -> None:
    answer = engine.answer(QueryOptions(count=6), red_square)
    assert ids(answer.texts) == ids(model.search(image=red_square, k=6, target="text"))
    assert ids(answer.pictures) == ids(model.search(image=red_square, k=6, target="image"))
    assert answer.kind == "image"


def test_mixes(engine, model, red_square) -> None:
    ask = QueryOptions(text="a blue square", without="green", weight=0.7, count=12)
    answer = engine.answer(ask, red_square)
    mix = Mix((1.0, red_square), (0.7, "a blue square"), (-UNWANTED_WEIGHT, "green"))
    assert ids(answer.pictures) == ids(model.gallery.search(mix, 12, "image"))
    words = engine.answer(ask)
    mix = Mix((1.0, "a blue square"), (-UNWANTED_WEIGHT, "green"))
    assert ids(words.pictures) == ids(model.gallery.search(mix, 12, "image"))
    with pytest.raises(QueryError, match="the query only says what to exclude"):
        engine.answer(QueryOptions(without="green"))


def test_what_is_shown_can_be_chosen(engine, red_square) -> None:
    for target, pictures, texts in (
        ("image", True, False),
        ("text", False, True),
        ("both", True, True),
    ):
        for picture in (None, red_square):
            answer = engine.answer(QueryOptions(text="red", target=target), picture)
            assert (answer.pictures is not None, answer.texts is not None) == (pictures, texts)


def test_filters(folders) -> None:
    assert folders.facets.filters == {
        "label": ["blue", "green", "red"],
        "folder": ["noon", "o'clock"],
    }
    where = condition_of({"label": ["blue", "green"]}, "", "")
    found = folders.answer(QueryOptions(text="a red square", where=where, count=100))
    assert {hit.label for hit in found.pictures} == {"blue", "green"}
    assert len(found.pictures) == 8
    where = condition_of({"label": ["red"], "folder": ["o'clock"]}, "", "")
    found = folders.answer(QueryOptions(text="red", where=where, count=100))
    assert {(hit.label, hit.metadata["folder"]) for hit in found.pictures} == {("red", "o'clock")}
    assert folders.answer(QueryOptions(text="red", where="label = 'none'")).pictures == []
    everything = folders.answer(QueryOptions(text="a red square", count=100)).pictures
    middle = everything[5].score
    least = folders.answer(QueryOptions(text="a red square", min_score=middle, count=100)).pictures
    assert least == everything[:6]


def test_near_duplicates_are_hidden(engine, model) -> None:
    shown = engine.answer(QueryOptions(text="a red square", distinct=True, count=100)).pictures
    names = model.gallery.items["id"].to_pylist()
    rows = dict(zip(names, model.gallery.vectors("image"), strict=True))
    kept: list[str] = []
    for hit in engine.answer(QueryOptions(text="a red square", count=100)).pictures:
        if all(float(rows[hit.id] @ rows[other]) <= 0.98 for other in kept):
            kept.append(hit.id)
    assert ids(shown) == kept
    assert len(kept) < len(rows)


def test_more_like_one(engine, model) -> None:
    first = model.gallery.items["id"][0].as_py()
    answer = engine.answer(QueryOptions(like=first, count=5))
    expected = model.gallery.more_like(first, 5, "image")
    assert [(hit.rank, hit.id) for hit in answer.pictures] == [
        (hit.rank, hit.id) for hit in expected
    ]
    assert first not in ids(answer.texts)
    assert len(answer.texts) == 5
    with pytest.raises(QueryError, match="no longer in the gallery"):
        engine.answer(QueryOptions(like="../../etc/passwd"))


def test_answers_to_words_are_kept(engine, model, monkeypatch) -> None:
    first = engine.answer(QueryOptions(text="a red square"))
    monkeypatch.setattr(type(model), "encode_texts", lambda *_: pytest.fail("encoded again"))
    assert engine.answer(QueryOptions(text="a red square")) is first
    with pytest.raises(pytest.fail.Exception):
        engine.answer(QueryOptions(text="a red square", count=3))


def test_nothing_known(engine) -> None:
    with pytest.raises(UnknownWordsError, match="wug, blick"):
        engine.answer(QueryOptions(text="wug blick"))
    assert engine.answer(QueryOptions(text="red wug", without="blick green")).unknown == [
        "wug",
        "blick",
    ]


def test_an_empty_query_lists_the_gallery(own_engine, folders, photographs) -> None:
    every = photographs.items["id"].to_pylist()[::-1]  # the latest first
    answer = own_engine.answer(QueryOptions(count=5))
    assert (ids(answer.pictures), answer.total) == (every[:5], 12)
    answer = own_engine.answer(QueryOptions(count=5, offset=10))
    assert [(hit.rank, hit.id) for hit in answer.pictures] == [(11, every[10]), (12, every[11])]
    assert own_engine.shown(answer.pictures[0])["score"] is None
    answer = own_engine.answer(QueryOptions(where="rating = 2 AND camera LIKE 'Pixel%'"))
    assert {hit.metadata["rating"] for hit in answer.pictures} == {2}
    assert answer.total == 2
    answer = folders.answer(QueryOptions(target="text", count=2))
    assert (len(answer.texts), answer.pictures) == (2, None)


def test_more_results(engine, model) -> None:
    expected = ids(model.search("a red square", k=12))
    for options, wanted in (
        ({"text": "a red square"}, expected[4:7]),
        ({"like": expected[0]}, ids(model.gallery.more_like(expected[0], 7, "image"))[4:]),
    ):
        found = engine.answer(QueryOptions(**options, count=3, offset=4)).pictures
        assert [(hit.rank, hit.id) for hit in found] == [*enumerate(wanted, 5)]


def test_a_place_is_its_owners(own_engine, model, photographs) -> None:
    """A page that others reach tells neither folders of this machine nor where somebody was."""
    (hit,) = own_engine.answer(QueryOptions(text="red", count=1)).pictures
    mine = own_engine.record(hit)
    assert mine["path"] == hit.file
    assert mine["columns"]["latitude"] == 48.2
    assert mine["columns"]["taken"].startswith("2021-06-")
    assert not {"sha256", "picture_hash"} & {*mine["columns"]}
    public = Engine(model, photographs)
    shared = public.record(hit)
    assert shared["path"] == hit.path.name
    assert not {"latitude", "longitude"} & {*shared["columns"], *public.facets.columns}
    assert "16." not in json.dumps(explanation(public, None, hit.id, "image"))
    for where in (
        "latitude > 48",
        "NEAR(48, 16, 500)",
        "path LIKE '/%'",
        "rating = 1 OR NOT longitude < 16",
    ):
        assert own_engine.answer(QueryOptions(where=where)).total
        with pytest.raises(QueryError, match="this page has no column"):
            public.answer(QueryOptions(where=where))


def test_a_file_name_is_no_sentence(engine) -> None:
    with pytest.raises(QueryError, match="the name of a picture file"):
        engine.answer(QueryOptions(text="square.png"))


def test_results_as_json(engine) -> None:
    (hit,) = engine.answer(QueryOptions(text="a red square", count=1)).pictures
    shown = json.loads(json.dumps(engine.shown(hit)))
    assert shown["id"] == hit.id
    assert shown["class"] == "red"
    assert shown["caption"] == "a red square"
    assert shown["picture"] == f"picture?id={hit.id}"
    assert str(hit.path.parent) not in json.dumps(shown)
    assert engine.address("a/b c&d", small=True) == "picture?id=a%2Fb%20c%26d&small=1"
    bare = Gallery.from_vectors(
        items_table([Item(id="x")]),
        image_embeddings=np.eye(1, engine.model.dim),
        model_id=engine.model.fingerprint,
    )
    plain = Engine(engine.model, bare)
    (hit,) = plain.answer(QueryOptions(text="red")).pictures
    assert plain.shown(hit)["picture"] is None
    assert plain.shown(hit)["caption"] == "x"
    assert plain.facets.filters == {}


def test_texts_without_end_are_cut(model) -> None:
    """A gallery may have captions of megabytes; a page of some is laid out all the same."""
    long = "red " * 5_000_000
    sentences = long, *[long[:9_000]] * 200
    item = Item(id="x", sentences=sentences, label=long, metadata={"note": long})
    gallery = Gallery.from_vectors(
        items_table([item, Item(id="y", label="red")]),
        image_embeddings=np.eye(2, model.dim),
        model_id=model.fingerprint,
    )
    engine = Engine(model, gallery)
    assert engine.facets.filters == {}
    answer = engine.answer(QueryOptions(text="red", count=1))
    for shown in (engine.shown(answer.pictures[0]), explanation(engine, answer, "x", "image")):
        assert len(json.dumps(shown)) < 200_000
    assert _examples(engine) == ["red"]


def test_a_picture_without_words_is_called_by_its_file(model) -> None:
    gallery = Gallery.from_vectors(
        items_table([Item(id="0f3a", path=Path("/holiday/IMG_1.jpg"))]),
        image_embeddings=np.eye(1, model.dim),
        model_id=model.fingerprint,
    )
    engine = Engine(model, gallery)
    answer = engine.answer(QueryOptions(text="red"))
    assert engine.shown(answer.pictures[0])["caption"] == "IMG_1.jpg"
    assert explanation(engine, answer, "0f3a", "image")["title"] == "IMG_1.jpg"
