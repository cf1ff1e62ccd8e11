"""Turn answers and errors into the JSON that the page shows."""

from __future__ import annotations

from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Final

from cmr_hub.apps.search_page.engine import name_of
from cmr_hub.apps.search_page.query_options import sentence
from cmr_hub.gallery.clear import NOTHING_CLEAR
from cmr_hub.gallery.notes import query_notes

if TYPE_CHECKING:
    from cmr_hub.apps.search_page.engine import Answer, Engine
    from cmr_hub.errors import CMRError
    from cmr_hub.types import JSONObject

_WHERE: Final = "in the field Without of the options"
_numbers = count()


def fresh(value: JSONObject) -> JSONObject:
    """Add a unique number, because the page draws a value only if it has changed."""
    return {**value, "number": next(_numbers)}


def hint(text: str) -> JSONObject:
    """Return a hint for an empty query."""
    return fresh({"status": text, "tone": "hint"})


def problem(error: CMRError) -> JSONObject:
    """Return an error as a sentence."""
    return fresh({"status": sentence(error), "tone": "error"})


def reply(engine: Engine, answer: Answer, started: float) -> JSONObject:
    """Return the results with the time since `started`, a value of `perf_counter`."""
    seconds = perf_counter() - started
    notes = query_notes(answer.query, answer.unknown, _WHERE)
    lines = [_summary(answer, seconds), not_cut(answer), *notes]
    shown: JSONObject = {
        "tone": "found",
        "pictures": [engine.shown(hit) for hit in answer.pictures or []],
        "texts": [engine.shown(hit) for hit in answer.texts or []],
    }
    if answer.options.like is not None:
        row = engine.gallery.store.rows([answer.options.like])
        (item,) = row.items.to_pylist()
        shown["like"] = {
            "title": item["label"] or name_of(item["id"], item["path"], item.get("name")),
            "picture": None if item["path"] is None else engine.address(item["id"]),
        }
    return fresh({"status": "\n".join(line for line in lines if line), **shown})


def not_cut(answer: Answer) -> str:
    """Return a note if `clear` was requested but could not be applied."""
    if answer.options.clear is None or answer.is_cut:
        return ""
    return "All hits are shown: this query or gallery does not support hiding unclear ones."


def _summary(answer: Answer, seconds: float) -> str:
    parts = [
        f"{len(hits)} {noun}{'' if len(hits) == 1 else 's'}"
        for hits, noun in ((answer.pictures, "picture"), (answer.texts, "sentence"))
        if hits is not None
    ]
    if not answer.pictures and not answer.texts:
        options = answer.options
        if answer.is_cut:
            return NOTHING_CLEAR
        narrowed = options.labels or options.sources or options.min_score is not None
        advice = "remove a filter or lower the minimum score" if narrowed else "try another query"
        return f"Nothing was found; {advice}."
    time = f"{1000 * seconds:.0f} ms" if seconds >= 0.001 else "less than 1 ms"
    return f"{' and '.join(parts)} found in {time}."
