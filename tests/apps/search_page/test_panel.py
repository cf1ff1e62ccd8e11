from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qsl

import gradio as gr
import numpy as np
import pytest

from cmr_hub.apps.search_page.panel import Handlers
from cmr_hub.errors import QueryError
from cmr_hub.gallery.clear import Neutral

REQUEST = SimpleNamespace(session_hash="visitor", query_params={})
OPTIONS = {
    "text": "",
    "picture": None,
    "without": "",
    "weight": 1,
    "count": 5,
    "show": "Automatic",
    "min_score": 0,
    "clear": 0,
    "distinct": False,
    "condition": "",
    "first": "",
    "last": "",
    "place": "",
    "label": [],
}
"""The inputs of a panel in their order."""


@pytest.fixture
def handlers(engine) -> Handlers:
    return Handlers(lambda request: engine, "Ask something.", ("label",))


def inputs(**given: object) -> list[object]:
    assert given.keys() <= OPTIONS.keys()
    return [*(OPTIONS | given).values()]


def ask(handlers: Handlers, text: str | None, picture: Path | None = None, **options: object):
    shown, answer = handlers.ask(REQUEST, *inputs(text=text, picture=picture, **options))
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
    assert shown["status"] == "Ask something."
    assert [hit["id"] for hit in shown["pictures"]] == [hit.id for hit in answer.pictures]
    assert len(shown["pictures"]) == 5
    assert shown["more"]


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
    assert len(ask(handlers, "red", label=[None, "red"], show="else")[0]["pictures"]) == 4


def test_nothing_found(handlers) -> None:
    shown, answer = ask(handlers, "red", label=["violet"])
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
    shown, answer = handlers.like(event(id=first), REQUEST, *inputs(count=4))
    assert shown["like"] == {"title": "red", "picture": f"picture?id={first}"}
    assert len(shown["pictures"]) == 4
    assert answer.options.like == first
    for data in ({}, {"id": 3}, {"id": "none"}):
        shown, _ = handlers.like(event(**data), REQUEST, *inputs())
        assert "search again" in shown["status"]


def test_one_result_and_its_map(handlers, engine, model, monkeypatch) -> None:
    loud = Neutral(np.zeros(model.dim, np.float32), 9 * np.eye(model.dim, dtype=np.float32))
    monkeypatch.setattr(engine.gallery.store, "_neutral", loud)
    _, answer = ask(handlers, "a red square")
    hit = answer.pictures[0]
    shown = handlers.open(answer, event(id=hit.id, target="image"), REQUEST)
    assert (shown["id"], shown["rank"]) == (hit.id, 1)
    assert handlers.open(answer, event(id=hit.id, target="nonsense"), REQUEST)["target"] == "image"
    with pytest.raises(gr.Error, match="no longer"):
        handlers.open(answer, event(id="none", target="image"), REQUEST)
    # No place costs more than it costs neutral sentences whose scores vary as much.
    drawn = handlers.look(answer, event(id=hit.id), REQUEST)
    assert drawn["heat"]["nothing"].startswith("Nothing stands out")
    assert "picture" not in drawn["heat"]
    missing = handlers.look(None, event(id=hit.id), REQUEST)
    assert missing["heat"]["problem"] == "There is no picture to explain; search again."


def test_a_visitor_without_pictures_is_told(engine) -> None:
    def none(request: object):
        raise QueryError("there are no pictures of yours yet; drop some above")

    shown, _ = ask(Handlers(none, "Ask.", ("label",)), "red")
    assert shown["status"] == "There are no pictures of yours yet; drop some above."


# ---- the page's address


@pytest.fixture
def own(own_engine) -> Handlers:
    """The panel of the photographs, with the filters of `OPTIONS`."""
    return Handlers(lambda _request: own_engine, "Ask.", ("label",))


def restored(handlers: Handlers, query: str) -> tuple[dict[str, object], dict[str, object]]:
    """The inputs and the results that an address gives."""
    request = SimpleNamespace(query_params=dict(parse_qsl(query.removeprefix("?"))))
    *boxes, shown, _ = handlers.restore(request)
    names = [name for name in OPTIONS if name != "picture"]
    values = [
        box.get("value") if isinstance(box, dict) and "choices" in box else box for box in boxes
    ]
    return dict(zip(names, values, strict=True)), shown


@pytest.mark.parametrize(
    "given",
    [
        {"text": "a red square"},
        {"text": "red & blue?", "count": 7, "without": "green", "show": "Both", "distinct": True},
        {"label": ["red", "blue"], "first": "2021-06-03", "last": "2021-06-09"},
        {"text": "red", "label": ["red"], "condition": "camera = 'O''Hara 35' OR rating > 1"},
        {"place": "48.2,16.45,2.5km", "label": ["red", "blue"]},
        {"condition": "taken >= '2021-06-02 10:00' AND label <> 'red'"},
        {"text": "red", "min_score": 0.5, "clear": 1.5},
    ],
    ids=", ".join,
)
def test_the_address_brings_a_query_back(own, given) -> None:
    shown, answer = own.ask(REQUEST, *inputs(**({"count": 12} | given)))
    boxes, again = restored(own, shown["query"])
    expected = OPTIONS | {"count": 12} | given
    assert boxes == {name: expected[name] for name in boxes}
    assert again["query"] == shown["query"]
    assert again["pictures"] == shown["pictures"]
    assert {hit.id for hit in answer.pictures} == {hit["id"] for hit in again["pictures"]}


def test_days_are_whole(own) -> None:
    shown, _ = ask(own, "", first="2021-06-03", last="2021-06-05", count=12)
    taken = own.engine_of(REQUEST).gallery.items.select(["id", "taken"]).to_pylist()
    expected = {row["id"] for row in taken if 3 <= row["taken"].day <= 5}
    assert {hit["id"] for hit in shown["pictures"]} == expected
    assert shown["status"] == "3 pictures found."
    assert "write it as 2021-06-30" in ask(own, "", first="yesterday")[0]["status"]


def test_places_are_near_one(own) -> None:
    shown, _ = ask(own, "", place="48.2, 16.41, 800 m", count=12)
    rows = own.engine_of(REQUEST).gallery.items.to_pylist()
    # A hundredth of a degree of longitude is 741 m there.
    expected = {row["id"] for row in rows if 16.395 < row["longitude"] < 16.425}
    assert {hit["id"] for hit in shown["pictures"]} == expected
    assert len(expected) == 2
    problem = ask(own, "", place="Vienna")[0]["status"]
    assert "is not a latitude, a longitude and a distance, e.g. 48.2,16.4,10km" in problem


def test_more_like_one_is_in_the_address(own) -> None:
    first = own.engine_of(REQUEST).gallery.items["id"][0].as_py()
    shown, answer = own.like(event(id=first), REQUEST, *inputs(text="blue", label=["red"]))
    assert restored(own, shown["query"])[1]["pictures"] == shown["pictures"]
    other, _ = own.refine(REQUEST, answer, *inputs(text="blue", count=3))
    assert other["like"] == shown["like"]
    assert len(other["pictures"]) == 3


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("?q=red&k=many", "Count must be a whole number from 1 to 500, not 'many'."),
        ("?where=colour+%3D+3", "There is no column 'colour'"),
        ("?where=%28", "Cannot understand the condition"),
        ("?q=wug", "No word of the text is known"),
        ("?like=/etc/passwd", "This result is no longer in the gallery"),
    ],
)
def test_an_address_that_is_wrong(own, query, why) -> None:
    assert restored(own, query)[1]["status"].startswith(why)


def test_an_address_with_something_else(own) -> None:
    boxes, shown = restored(own, "?__theme=dark&utm_source=x")
    assert boxes["text"] == gr.skip()  # what was typed meanwhile stays
    _, shown = restored(own, "?image=/etc/passwd&offset=3")
    assert len(shown["pictures"]) == 12


def test_back_in_the_history(own) -> None:
    picture, text, *_ = own.back(event(query="?q=a+red+square"), REQUEST)
    assert (picture, text) == (None, "a red square")


def test_a_picture_is_not_in_the_address(own, red_square) -> None:
    assert ask(own, "red", red_square)[0]["query"] is None


def test_more_results(handlers) -> None:
    few, answer = ask(handlers, "red", count=5)
    shown, _, count = handlers.more(REQUEST, answer, *inputs(text="red", count=5))
    assert count == 29
    assert shown["pictures"][:5] == few["pictures"]
    assert len(shown["pictures"]) == 12
    assert (few["more"], shown["more"]) == (True, False)
