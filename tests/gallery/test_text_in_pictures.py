"""The text that was read in pictures takes part in a search."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from cmr_hub.encoders.texts.tokens import words
from cmr_hub.errors import QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import TEXT, Item, items_table
from cmr_hub.gallery.query import Mix, without_phrases
from cmr_hub.gallery.text_in_pictures import TextQuery

VOCABULARY = ("gate", "12", "error", "sale", "vienna", "exit", "total", "eur", "platform", "bus")


def gallery_of(texts: list[str | None], seed: int = 0, width: int = 8) -> Gallery:
    rows = np.random.default_rng(seed).normal(size=(len(texts), width))
    items = items_table(
        Item(str(i), Path(f"/p/{i}.jpg"), metadata={TEXT: text, "year": 2000 + i % 3})
        for i, text in enumerate(texts)
    )
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Gallery.from_vectors(items, image_embeddings=vectors, model_id="m")


def loop(gallery: Gallery, texts: list[str | None], vector: np.ndarray, query: list[str]):
    """The fused order, one picture after another."""
    scores = gallery.vectors("image").astype(np.float64) @ (vector / np.linalg.norm(vector))
    order = sorted(range(len(texts)), key=lambda i: (-scores[i], i))
    count = sum(bool(text) for text in texts)
    found = [set(words(text or "")) for text in texts]
    weight = {}
    for word in query:
        n = sum(word in one for one in found)
        weight[word] = math.log(1 + (count - n + 0.5) / (n + 0.5))
    share = [sum(weight[w] for w in query if w in one) / sum(weight.values()) for one in found]
    by_words = [i for i in sorted(order, key=lambda i: -round(share[i], 9)) if share[i] > 0]
    gain = dict.fromkeys(order, 0.0)
    for rank, i in enumerate(order[:200], 1):
        gain[i] += 1 / (60 + rank)
    for rank, i in enumerate(by_words[:200], 1):
        gain[i] += share[i] / (60 + rank)
    return sorted(order, key=lambda i: (-round(gain[i], 12), -scores[i])), scores


@pytest.mark.parametrize("query", [("gate", "12"), ("error",), ("sale", "vienna", "unseen")])
@pytest.mark.parametrize("size", [12, 700])
def test_the_fused_ranking_is_that_of_a_plain_loop(query: tuple[str, ...], size: int) -> None:
    random = np.random.default_rng(size)
    texts: list[str | None] = [
        None if random.random() < 0.2 else " ".join(random.choice(VOCABULARY, random.integers(5)))
        for _ in range(size)
    ]
    gallery, vector = gallery_of(texts), random.normal(size=8)
    order, scores = loop(gallery, texts, vector, list(query))
    hits = gallery.search(
        vector, k=size, text=f"a {' '.join(query).upper()} on the", distinct=False
    )
    assert [int(hit.id) for hit in hits] == order
    np.testing.assert_allclose([hit.score for hit in hits], scores[order], atol=1e-9)
    pages = [
        hit.id
        for offset in range(0, size, 5)
        for hit in gallery.search(vector, 5, offset=offset, text=" ".join(query))
    ]
    assert pages == [hit.id for hit in hits]


@pytest.mark.parametrize(
    "text",
    ["nothing of it", "the and of a", "gat", "1", "🚪", "", "gates"],
)
def test_a_query_without_a_word_in_any_picture_changes_nothing(text: str) -> None:
    gallery, vector = gallery_of(["gate 12", "", None, "x and the y"]), np.arange(8.0)
    assert gallery.search(vector, text=text) == gallery.search(vector)


WRITTEN = [
    *("Gate 12", "GATE12 to Vienna", "gate 21", "Straße gesperrt", "出口出口 EXIT", "don’t panic"),
    *("agate 12", "12 gate", "Total: 14.90", "ﬁnal CALL", "Größe", "gate\n12"),
]


@pytest.mark.parametrize(
    ("phrase", "found"),
    [
        ("gate 12", [0, 1, 11]),
        ("12", [0, 6, 7, 11]),
        ("GATE", [0, 2, 7, 11]),
        ("strasse", [3]),
        ("STRASSE gesperrt", [3]),
        ("出口", [4]),
        ("口出口", [4]),
        ("exit", [4]),
        ("don't", [5]),
        ("14.90", [8]),
        ("total 14", [8]),
        ("größe", [10]),
        ("boat", []),
        (".*", None),
    ],
)
def test_a_phrase_is_in_the_text_of_each_hit(phrase: str, found: list[int] | None) -> None:
    gallery = gallery_of([*WRITTEN, None, ""])
    query = f'text:"{phrase}"'
    if found is None:
        with pytest.raises(QueryError, match="has no word to search for"):
            gallery.search(np.ones(8), text=query)
        return
    hits = gallery.search(np.ones(8), text=query)
    assert sorted(int(hit.id) for hit in hits) == found
    assert all(hit.text for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert {int(hit.id) for hit in gallery.search(np.ones(8), text=query, where="year = 2000")} == {
        i for i in found if i % 3 == 0
    }


def test_a_phrase_without_known_words_needs_no_vector() -> None:
    hits = gallery_of(["b 7", "a", "b 7"]).search(np.zeros(8), text='text:"b 7"')
    assert [(hit.id, hit.score, hit.z) for hit in hits] == [("0", 0.0, None), ("2", 0.0, None)]


@pytest.mark.parametrize(
    ("query", "rest", "sought", "phrases"),
    [
        ('text:"gate 12" airport', "airport", ["airport"], ["gate 12"]),
        ("Text:“gate 12”", None, [], ["gate 12"]),
        ('a text:"b" c text:"d e"', "a c", [], ["b", "d e"]),
        ("a text: it says", "a text: it says", ["text", "says"], []),
        ('context:"x"', 'context:"x"', ["context"], []),
        (Mix((1, 'dog text:"x"'), (-1, "cat")), Mix((1, "dog"), (-1, "cat")), ["dog"], ["x"]),
        (Mix((1, 'text:"x"'), (1, "cat")), Mix((1, "cat")), ["cat"], ["x"]),
        (Path("dog.jpg"), Path("dog.jpg"), [], []),
    ],
)
def test_what_a_query_asks_of_the_text(query, rest, sought, phrases) -> None:
    assert without_phrases(query) == rest
    assert TextQuery.of(query) == TextQuery(tuple(sought), tuple(phrases))


def test_a_hit_shows_the_text_around_the_word() -> None:
    long = "word " * 30 + "Größe: error 404 not found " + "more " * 30
    gallery = gallery_of([long, "a dog", None])
    texts = {hit.id: hit.text for hit in gallery.search(np.ones(8), text="an Error")}
    assert texts["1"] is texts["2"] is None
    assert texts["0"].startswith("…word")
    assert "Größe: error 404 not found more" in texts["0"]
    assert len(texts["0"]) < 100


def test_a_gallery_without_text_says_what_to_do() -> None:
    items = items_table([Item("0", Path("/p/0.jpg"))])
    gallery = Gallery.from_vectors(items, image_embeddings=[[1.0, 0.0]], model_id="m")
    assert gallery.search([1.0, 0.0], text="gate 12")[0].text is None
    with pytest.raises(QueryError, match="--ocr"):
        gallery.search([1.0, 0.0], text='text:"gate 12"')


def test_rows_that_come_and_go_are_seen() -> None:
    gallery = gallery_of(["gate 12", "exit", "gate 12"])
    gallery.remove(["0"])
    assert [hit.id for hit in gallery.search(np.ones(8), text='text:"gate 12"')] == ["2"]
    gallery.store.put(gallery_of(["", "", "", "gate 12"]).store.rows(["3"]))
    hits = gallery.search(np.ones(8), text='text:"gate 12"')
    assert {hit.id for hit in hits} == {"2", "3"}
