from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from cmr_hub.apps.search_page.panel import Handlers
from cmr_hub.errors import QueryError
from cmr_hub.gallery.clear import Neutral

REQUEST = SimpleNamespace(session_hash="visitor")
OPTIONS = {
    "unwanted": "",
    "weight": 1,
    "count": 5,
    "show": "Automatic",
    "labels": [],
    "sources": [],
    "min_score": 0,
    "clear": 0,
    "distinct": False,
}


@pytest.fixture
def handlers(engine) -> Handlers:
    return Handlers(lambda request: engine, "QueryOptions something.")


def ask(handlers: Handlers, text: str | None, picture: Path | None = None, **options: object):
    shown, answer = handlers.search(text, picture, **{**OPTIONS, **options}, request=REQUEST)
    json.dumps(shown)
    return shown, answer


def event(**data: object) -> gr.EventData:
    return gr.EventData(None, data)


def test_a_sentence(handlers, model) -> None:
    shown, answer = ask(handlers, " a red square\n")
    assert [hit["id"] for hit in shown["pictures"]] == [
        hit.id for hit in model.search("a red square", k=5)
    ]
    assert shown["status"].startswith("5 pictures found in ")
    assert shown["status"].endswith(" ms.")
    assert shown["tone"] == "found"
    assert answer.options.text == "a red square"


def test_two_replies_are_never_the_same(handlers) -> None:
    assert ask(handlers, "red")[0]["number"] != ask(handlers, "red")[0]["number"]


def test_unknown_words_are_named(handlers) -> None:
    status = ask(handlers, "a red zebra, a Zebra and a wug")[0]["status"]
    assert status.endswith("\nLeft out, as this model does not know them: zebra, wug.")
    status = ask(handlers, "a red square, not a zebra")[0]["status"]
    assert status.splitlines()[1:] == [
        "Left out, as this model does not know them: zebra.",
        "The word “not” is not understood: what follows it is searched for nevertheless. "
        "Say what should not be there in the field Without of the options.",
    ]
    many = "red " + " ".join(f"wug{number}" for number in range(30))
    assert ask(handlers, many)[0]["status"].endswith("wug6, wug7 and 22 more.")


@pytest.mark.parametrize("text", ["", "  \n", None, "\x00\x07"])
def test_nothing_asked(handlers, text) -> None:
    shown, answer = ask(handlers, text)
    assert (shown["status"], shown["tone"], answer) == ("QueryOptions something.", "hint", None)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("wug blick", "No word of the text is known to this model: wug, blick; use other words."),
        ("x" * 100_000, "The text has 100,000 characters, and a query may have at most 2,000"),
        ("😀 🎉", "The text has no words; type a sentence."),
        ("قطة على الطاولة", "No word of the text is known to this model: "),
        ("\ud800", "The text has no words; type a sentence."),
    ],
    ids=["unknown", "long", "emoji", "arabic", "half"],
)
def test_a_sentence_that_cannot_be_searched(handlers, text, status) -> None:
    shown, answer = ask(handlers, text)
    assert shown["status"].startswith(status)
    assert (shown["tone"], answer) == ("error", None)
    shown["status"].encode()


def test_right_to_left_and_emoji_beside_known_words(handlers) -> None:
    shown, _ = ask(handlers, "a red square \u202eقطة 🟥")
    assert len(shown["pictures"]) == 5
    assert "قطة" in shown["status"]


def test_numbers_out_of_range_are_brought_back(handlers) -> None:
    assert len(ask(handlers, "red", count=10**9)[0]["pictures"]) == 12
    assert len(ask(handlers, "red", count=-3)[0]["pictures"]) == 1
    assert "is not a number" in ask(handlers, "red", count="many")[0]["status"]
    assert len(ask(handlers, "red", labels=[3, "red"], show="else")[0]["pictures"]) == 4


def test_nothing_found(handlers) -> None:
    shown, answer = ask(handlers, "red", labels=["violet"])
    assert shown["status"] == ("Nothing was found; remove a filter or lower the minimum score.")
    assert answer is not None


def test_what_stands_out(handlers, engine, red_square, monkeypatch) -> None:
    """The cut leaves out what does not, and says so where nothing is left."""
    dim = engine.gallery.dim
    neutral = Neutral(np.zeros(dim, np.float32), np.eye(dim, dtype=np.float32) / 4)
    monkeypatch.setattr(engine.gallery.store, "_neutral", neutral)
    shown, answer = ask(handlers, "red square")
    z = [hit["z"] for hit in shown["pictures"]]
    assert z == [pytest.approx(hit.z, abs=0.005) for hit in answer.pictures]
    cut = np.mean([max(z), min(z)])
    fewer, _ = ask(handlers, "red square", clear=cut)
    assert {hit["id"] for hit in shown["pictures"] if hit["z"] >= cut} <= {
        hit["id"] for hit in fewer["pictures"]
    }
    assert min(hit["z"] for hit in fewer["pictures"]) >= cut - 0.005
    nothing, _ = ask(handlers, "red square", clear=6)
    assert nothing["status"] == "Nothing here stands out for this query."
    assert nothing["pictures"] == []
    unasked, _ = ask(handlers, "red square", clear=0)
    assert len(unasked["pictures"]) == 5
    pictures, answer = ask(handlers, "", red_square, clear=6)
    assert "All hits are shown" in pictures["status"]
    assert [hit.z for hit in answer.pictures] == [None] * 5


def test_a_picture(handlers, red_square, fake_picture) -> None:
    shown, _ = ask(handlers, "", red_square, count=6)
    assert shown["status"].startswith("6 pictures and 6 sentences found in ")
    assert [hit["class"] for hit in shown["texts"][:4]] == ["red"] * 4
    assert shown["texts"][0]["sentences"] == ["a red square", "paper all red"]
    shown, _ = ask(handlers, "", fake_picture)
    assert shown["status"].startswith("Cannot read the picture fake.jpg: it is not a JPEG, PNG")
    assert str(fake_picture.parent) not in shown["status"]


def test_more_like_one(handlers, model) -> None:
    first = model.gallery.items["id"][0].as_py()
    shown, answer = handlers.like(4, False, event(id=first), REQUEST)
    assert shown["like"] == {"title": "red", "picture": f"picture?id={first}"}
    assert len(shown["pictures"]) == 4
    assert answer.options.like == first
    for data in ({}, {"id": 3}, {"id": "none"}):
        shown, _ = handlers.like(4, False, event(**data), REQUEST)
        assert "search again" in shown["status"]


def test_one_result_and_its_map(handlers, model) -> None:
    _, answer = ask(handlers, "a red square")
    hit = answer.pictures[0]
    shown = handlers.open(answer, event(id=hit.id, target="image"), REQUEST)
    assert (shown["id"], shown["rank"]) == (hit.id, 1)
    assert handlers.open(answer, event(id=hit.id, target="nonsense"), REQUEST)["target"] == "image"
    with pytest.raises(gr.Error, match="no longer"):
        handlers.open(answer, event(id="none", target="image"), REQUEST)
    # Of a square of one colour no place does more than another.
    drawn = handlers.look(answer, event(id=hit.id), REQUEST)
    assert drawn["heat"]["nothing"].startswith("Nothing stands out")
    assert "picture" not in drawn["heat"]
    missing = handlers.look(None, event(id=hit.id), REQUEST)
    assert missing["heat"]["problem"] == "There is no picture to explain; search again."


def test_a_visitor_without_pictures_is_told(engine) -> None:
    def none(request: object):
        raise QueryError("there are no pictures of yours yet; drop some above")

    shown, _ = ask(Handlers(none, "QueryOptions."), "red")
    assert shown["status"] == "There are no pictures of yours yet; drop some above."
