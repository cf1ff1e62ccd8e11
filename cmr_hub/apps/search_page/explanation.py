"""Describe one result for the viewer and explain its score."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from cmr_hub.apps.search_page.engine import name_of, shown_sentences
from cmr_hub.apps.search_page.facets import OFFSET, PLACE, TAKEN, columns_of
from cmr_hub.datasets.videos import clock
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.gallery.explain import (
    CLEAR_PLACE,
    CLEAR_WORD,
    nearest_classes,
    saliency,
    strengths,
    word_contributions,
)
from cmr_hub.gallery.items import SCENES, TIME, VIDEO
from cmr_hub.outside import shortened

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.apps.search_page.engine import Answer, Engine
    from cmr_hub.gallery.explain import ClassScore, Saliency, WordContribution
    from cmr_hub.types import JSONObject, Modality

NEIGHBOURS: Final = 6
NO_PLACE: Final = "Nothing stands out: no region of this picture contributes much to the score."
_HEAT: Final = (234, 88, 12)
_MAP: Final = "https://www.openstreetmap.org/?mlat={0}&mlon={1}#map=15/{0}/{1}"


def explanation(engine: Engine, answer: Answer | None, id: str, target: Modality) -> JSONObject:
    """Describe an item, its neighbours and its match with the query, for the viewer.

    Args:
        engine: the engine of the item's gallery.
        answer: the last answer, which may lack the item.
        id: id of the item.
        target: modality of the list in which the item was selected.

    Raises:
        QueryError: the gallery has no such item.
    """
    row = engine.gallery.store.rows([id])
    if not len(row):
        raise QueryError("this result is no longer in the gallery; search again")
    (item,) = row.items.to_pylist()
    target = target if target in row.vectors else next(iter(row.vectors))
    vector = row.vectors[target].matrix[0].astype(np.float64)
    hit = None if answer is None else answer.hit(id, target)
    shown: JSONObject = {
        "id": id,
        "target": target,
        "title": shortened(str(item["label"] or name_of(id, item["path"], item.get("name")))),
        "class": item["label"] and shortened(item["label"]),
        "sentences": shown_sentences(item["sentences"]),
        "picture": None if item["path"] is None else engine.address(id),
        "path": engine.path(item["path"]),
        "facts": _facts(columns_of(item, engine.hidden)),
        "rank": None if hit is None else hit.rank,
        "near": _neighbours(engine, id),
        "classes": {"item": _classes(nearest_classes(engine.model, vector, target))},
    }
    if answer is not None and answer.vector is not None and answer.options.like != id:
        shown["score"] = round(float(answer.vector @ vector), 6)
        shown["heat"] = item["path"] is not None and "image" in row.vectors
        shown["classes"]["query"] = _classes(
            nearest_classes(engine.model, answer.vector, answer.kind)
        )
        if answer.query is not None and (answer.options.text or answer.options.without):
            neutral = engine.gallery.store.neutral
            words = word_contributions(engine.model, answer.query, vector, neutral)
            shown["words"] = [
                {
                    "word": one.word,
                    "known": one.known,
                    "wanted": one.wanted,
                    "score": round(one.score, 4),
                    "strength": round(float(strength), 3),
                }
                for one, strength in zip(words, _bars(words), strict=True)
            ]
    return shown


def heat(engine: Engine, answer: Answer | None, id: str) -> JSONObject:
    """Return a heat map of the regions that contribute to the score, as an overlay.

    Raises:
        QueryError: there is no such item, or there is no query.
        ImageError: the picture cannot be read.
    """
    row = engine.gallery.store.rows([id])
    path = row.items["path"][0].as_py() if len(row) else None
    if path is None or answer is None or answer.vector is None:
        raise QueryError("there is no picture to explain; search again")
    neutral = engine.gallery.store.neutral if answer.kind == "text" else None
    found = saliency(engine.model, path, answer.vector, neutral)
    shown = _opacity(found)
    if not shown.any():
        return {"id": id, "nothing": NO_PLACE}
    left, top, right, bottom = found.box
    return {
        "id": id,
        "picture": _overlay(shown),
        "box": {
            "left": f"{100 * left:.3f}%",
            "top": f"{100 * top:.3f}%",
            "width": f"{100 * (right - left):.3f}%",
            "height": f"{100 * (bottom - top):.3f}%",
        },
    }


def _facts(columns: JSONObject) -> list[list[str]]:
    """Return the name and value of each column, and the URL of a map for a place."""
    facts = []
    taken = columns.pop(TAKEN, None)
    if taken is not None:
        offset = columns.pop(OFFSET, None)
        zone = "" if offset is None else f" (UTC{offset})"
        facts.append(["Taken", f"{_readable(str(taken))}{zone}"])
    if isinstance(columns.get(TIME), float) and {VIDEO, SCENES} <= columns.keys():
        video, seconds, frames = (columns.pop(name) for name in (VIDEO, TIME, SCENES))
        facts.append(["Video", f"{video} at {clock(seconds)}, one of {frames} frames"])
    for name in ("camera", "lens"):
        if name in columns:
            facts.append([name.capitalize(), str(columns.pop(name))])
    place = [columns.pop(name, None) for name in PLACE]
    if all(isinstance(one, int | float) for one in place):
        facts.append(["Place", "{:.5g}, {:.5g}".format(*place), _MAP.format(*place)])
    size = [columns.pop(name, None) for name in ("width", "height")]
    if None not in size:
        facts.append(["Size", "{} × {}".format(*size)])
    derived = ("year", "month") if taken is not None else ()
    return facts + [[name, str(value)] for name, value in columns.items() if name not in derived]


def _readable(taken: str) -> str:
    try:
        return f"{datetime.fromisoformat(taken):%-d %B %Y, %H:%M}"
    except ValueError:
        return taken


def _neighbours(engine: Engine, id: str) -> JSONObject:
    near: JSONObject = {}
    for target in engine.gallery.targets:
        try:
            hits = engine.gallery.more_like(id, NEIGHBOURS, target)
        except CMRError:
            continue
        near["pictures" if target == "image" else "texts"] = [engine.shown(hit) for hit in hits]
    return near


def _classes(scores: list[ClassScore]) -> list[JSONObject]:
    return [{"name": one.name, "score": round(one.score, 3)} for one in scores]


def _bars(words: list[WordContribution]) -> npt.NDArray[np.float64]:
    """Return the bar length of each word in [0, 1]; 0 if the word does not stand out."""
    if any(one.z is None for one in words):  # without z-scores, use the largest score as scale
        sizes = np.abs([one.score for one in words])
        return sizes / max(float(sizes.max()), 1e-9)
    return strengths([one.z or 0.0 for one in words], CLEAR_WORD)


def _opacity(found: Saliency) -> npt.NDArray[np.float64]:
    """Return the (CELLS, CELLS) opacities in [0, 1]; 0 if a cell does not stand out."""
    gain = found.cells.clip(0).astype(np.float64)
    if found.z is None:  # without z-scores, use the largest value as scale
        largest = float(gain.max())
        return gain / largest if largest > 0 else gain
    return np.where(gain > 0, strengths(found.z.clip(0), CLEAR_PLACE), 0)


def _overlay(opacity: npt.NDArray[np.float64]) -> str:
    """Encode the opacities as a PNG with one pixel per cell, which the browser smooths."""
    pixels = np.empty((*opacity.shape, 4), dtype=np.uint8)
    pixels[..., :3] = _HEAT
    pixels[..., 3] = np.round(255 * 0.8 * opacity)
    file = BytesIO()
    Image.fromarray(pixels, "RGBA").save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
