"""Convert answers and errors to JSON for the page."""

from __future__ import annotations

from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Final

from cmr_hub.apps.search_page.engine import name_of
from cmr_hub.apps.search_page.query_options import MAX_HITS, sentence
from cmr_hub.gallery.clear import NOTHING_CLEAR
from cmr_hub.gallery.notes import query_notes

if TYPE_CHECKING:
    from cmr_hub.apps.search_page.engine import Answer, Engine
    from cmr_hub.errors import CMRError
    from cmr_hub.types import JSONObject

_WHERE: Final = "in the field Without of the options"
_numbers = count()


def fresh(value: JSONObject) -> JSONObject:
    """Add a unique number, because the page only draws values that have changed."""
    return {**value, "number": next(_numbers)}


def hint(text: str) -> JSONObject:
    """Return a hint or a notice for the page."""
    return fresh({"status": text, "tone": "hint"})


def problem(error: CMRError) -> JSONObject:
    """Return an error message for the page."""
    return fresh({"status": sentence(error), "tone": "error"})


def reply(engine: Engine, answer: Answer, started: float, empty: str = "") -> JSONObject:
    """Return the results as JSON for the page.

    Args:
        engine: the engine that computed the answer.
        answer: the answer.
        started: value of `perf_counter` at the start of the request.
        empty: status for an empty query.
    """
    seconds = perf_counter() - started
    options = answer.options
    if answer.query is None:
        is_narrowed = options.where or not answer.total
        lines = [_found(answer, answer.total or 0) if is_narrowed else empty]
    else:
        notes = query_notes(answer.query, answer.unknown, _WHERE)
        lines = [_summary(answer, seconds), not_cut(answer), *notes]
    lists = [answer.pictures or [], answer.texts or []]
    shown: JSONObject = {
        "tone": "found",
        "pictures": [engine.shown(hit) for hit in lists[0]],
        "texts": [engine.shown(hit) for hit in lists[1]],
        "more": options.count < MAX_HITS
        and any(options.count == len(hits) < len(engine.gallery) for hits in lists),
    }
    if options.like:
        row = engine.gallery.store.rows([options.like])
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
    return "All hits are shown, because this query or gallery does not support hiding unclear ones."


def _summary(answer: Answer, seconds: float) -> str:
    if not answer.pictures and not answer.texts:
        return NOTHING_CLEAR if answer.is_cut else _found(answer, 0)
    parts = [
        _counted(len(hits), noun)
        for hits, noun in ((answer.pictures, "picture"), (answer.texts, "sentence"))
        if hits is not None
    ]
    time = f"{1000 * seconds:.0f} ms" if seconds >= 0.001 else "less than 1 ms"
    return f"{' and '.join(parts)} found in {time}."


def _found(answer: Answer, count: int) -> str:
    options = answer.options
    if count:
        return f"{_counted(count, 'picture' if answer.texts is None else 'item')} found."
    is_narrowed = options.where or options.min_score is not None
    advice = "remove a filter or lower the minimum score" if is_narrowed else "try another query"
    return f"Nothing was found; {advice}."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
