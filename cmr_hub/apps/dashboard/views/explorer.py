"""Retrieval explorer page: rank the answers to a query in one or two spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import streamlit as st

from cmr_hub.apps.dashboard.sources import (
    DEPTH,
    SpaceSource,
    answers_of,
    run_store,
    sources,
    space,
)
from cmr_hub.apps.dashboard.sources import space_sources as all_spaces
from cmr_hub.apps.dashboard.text import literal, nothing, problems
from cmr_hub.apps.dashboard.widgets import Card, cards, choice, figure_box, figures, sample_note
from cmr_hub.errors import CMRError
from cmr_hub.experiments.report import number
from cmr_hub.experiments.space import Answers, Direction, Space, ranking
from cmr_hub.plots.results import confusion

if TYPE_CHECKING:
    from cmr_hub.types import IntArray

_WAYS: Final[dict[Direction, str]] = {"i2t": "image→text", "t2i": "text→image"}
_ORDERS: Final = {"worst": "worst first", "best": "best first", "stored": "as stored"}
_SHOWN: Final = 12
_NONE: Final = "none"


def page() -> None:
    """Show the selection of one or two spaces, and the query with its rankings."""
    st.title("Retrieval explorer")
    home = sources()
    found, wrong = all_spaces(home)
    problems(run_store(home).index.problems, "runs.jsonl")
    problems(wrong, "the stored embeddings")
    if not found:
        nothing("There is no space to search: no model with a gallery and no stored embeddings.")
        return
    names = {key: source.name for key, source in found.items()}
    columns = st.columns(2)
    first = choice(columns[0], "Run or model", names, "space")
    second = columns[1].selectbox(
        "Compare with",
        [_NONE, *names],
        format_func=lambda key: names.get(key, "nothing"),
        key="other",
        bind="query-params",
    )
    _body(found[first], found.get(second))


@st.fragment
def _body(source: SpaceSource, other: SpaceSource | None) -> None:
    columns = st.columns([1, 1, 3])
    way = choice(columns[0], "Direction", _WAYS, "way")
    order = choice(columns[1], "Queries", _ORDERS, "order")
    try:
        shown = space(source)
        sample_note(shown)
        found = answers_of(source, shown, way)
    except CMRError as error:
        st.error(literal(error))
        return
    queries = _ordered(found, order)
    rows = shown.image_rows if way == "i2t" else shown.text_rows
    ids = [shown.items[int(rows[query])].id for query in queries]
    places = dict(zip(ids, map(int, queries), strict=True))

    def named(id_: str) -> str:
        item = shown.items[int(rows[places[id_]])]
        ap = found.ap[places[id_]]
        score = "no answer" if np.isnan(ap) else f"AP {number(float(ap))}"
        return " · ".join(filter(None, [score, item.label, id_]))

    chosen = columns[2].selectbox(
        "Query", ids, format_func=named, key="query", bind="query-params", filter_mode="contains"
    )
    side = "image" if way == "i2t" else "text"
    _query(shown, int(rows[places[chosen]]), side)
    panels = [(source, shown, found)]
    if other is not None:
        try:
            compared = space(other)
            panels.append((other, compared, answers_of(other, compared, way)))
        except CMRError as error:
            st.error(literal(error))
    for column, (one, its, answered) in zip(st.columns(len(panels)), panels, strict=True):
        with column:
            _ranking(one, its, answered, way, chosen)
    _confusions(panels)


def _confusions(panels: list[tuple[SpaceSource, Space, Answers]]) -> None:
    if all(found.confusion is None for _, _, found in panels):
        return
    st.header("Confusion between classes")
    for place, column in enumerate(st.columns(len(panels))):
        source, shown, found = panels[place]
        with column:
            st.caption(literal(source.name))
            if found.confusion is None:
                st.info("These items have no classes.")
            else:
                figure_box(
                    confusion(found, shown.classes, DEPTH),
                    f"confusion {source.name}",
                    key=f"confusion-{place}",
                )


def _ordered(found: Answers, order: str) -> IntArray:
    if order == "stored":
        return np.arange(len(found.ap))
    worst = found.worst_first()
    return worst if order == "worst" else worst[::-1]


def _query(shown: Space, row: int, side: str) -> None:
    item = shown.items[row]
    with st.container(border=True):
        columns = st.columns([1, 3])
        with columns[0]:
            cards([Card(item, "the query", side)])
        with columns[1]:
            missing = ("The sentences of this item are missing on this machine.",)
            for sentence in item.sentences or missing:
                st.text(sentence)


def _ranking(source: SpaceSource, shown: Space, found: Answers, way: Direction, id_: str) -> None:
    st.subheader(literal(source.name))
    rows = shown.image_rows if way == "i2t" else shown.text_rows
    query = next((n for n, row in enumerate(rows) if shown.items[int(row)].id == id_), None)
    if query is None:
        st.info("This query is not in the test set of this run.")
        return
    result = ranking(shown, way, query)
    figures(
        {
            "AP of the query": "–" if result.ap is None else number(result.ap),
            f"MAP@all, {_WAYS[way]}": number(found.map),
            "Relevant": f"{int(result.hits.sum())} of {len(result.hits)}",
        }
    )
    if shown.kept < 1:
        st.caption(
            f"Computed from stored vectors, which retain {shown.kept:.1%} of the squared length. "
            "Figures may differ slightly from those of the run."
        )
    others = shown.text_rows if way == "i2t" else shown.image_rows
    side = "text" if way == "i2t" else "image"
    cards(
        Card(
            shown.items[int(others[place])],
            f"{rank}. {score:.3f}",
            side,
            bool(hit),
        )
        for rank, (place, score, hit) in enumerate(
            zip(result.order[:_SHOWN], result.scores, result.hits, strict=False), start=1
        )
    )


page()
