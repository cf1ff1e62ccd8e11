"""Show a map with its settings, its progress, a hover card and the selected items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from cmr_hub.apps.dashboard.hover import hover_card
from cmr_hub.apps.dashboard.sources import SpaceSource, source_facts
from cmr_hub.apps.dashboard.text import literal
from cmr_hub.apps.dashboard.widgets import Card, cards, figure_box
from cmr_hub.cache_home import default_cache_home
from cmr_hub.errors import CMRError
from cmr_hub.projections.jobs import MapInput, MapJobs, MapState
from cmr_hub.projections.methods import (
    Dimensions,
    Method,
    Metric,
    ProjectionOptions,
    project_stages,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from cmr_hub.experiments.space import Space
    from cmr_hub.types import FloatArray

METHODS: Final[dict[Method, str]] = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
_POLL_SECONDS: Final = 0.4
_MOST_CARDS: Final = 48
_METRICS: Final[tuple[Metric, ...]] = ("cosine", "euclidean")
_DIMENSIONS: Final[tuple[Dimensions, ...]] = (2, 3)


@st.cache_resource
def map_jobs() -> MapJobs:
    """Return the map jobs shared by all sessions."""
    return MapJobs(default_cache_home() / "maps")


def map_settings(points: int) -> ProjectionOptions:
    """Show the controls of a map; the number of points limits the number of neighbours."""
    columns = st.columns([2, 1, 1], vertical_alignment="bottom")
    method: Method = columns[0].segmented_control(
        "Map",
        list(METHODS),
        default="pca",
        required=True,
        format_func=METHODS.__getitem__,
        key="method",
        bind="query-params",
    )
    dimensions: Dimensions = columns[1].segmented_control(
        "Dimensions", _DIMENSIONS, default=2, required=True, key="dimensions", bind="query-params"
    )
    most = max(points // 3 - 1, 5)
    with columns[2].popover("Settings", icon=":material/tune:"):
        metric: Metric = st.selectbox("Distance", _METRICS, key="distance", bind="query-params")
        slider: Any = partial(st.slider, bind="query-params")
        limits = 2, min(100, most)
        perplexity = slider("Perplexity (t-SNE)", *limits, min(30, most), key="perplexity")
        neighbours = slider("Neighbours (UMAP)", *limits, min(15, most), key="neighbours")
        min_dist = slider("Minimum distance (UMAP)", 0.0, 1.0, 0.1, 0.05, key="min_dist")
    return ProjectionOptions(
        method=method,
        dimensions=dimensions,
        metric=metric,
        perplexity=perplexity,
        neighbours=neighbours,
        min_dist=min_dist,
    )


def maps_of(points: MapInput, options: ProjectionOptions, slot: str) -> list[FloatArray] | None:
    """Return the maps of all stages; show a progress bar and return None until they are computed.

    Args:
        points: the rows of the points.
        options: the method and its parameters.
        slot: name of a place on the page; a new map in a slot stops the previous computation.
    """
    jobs = map_jobs()
    key = jobs.key(points, options)
    previous = st.session_state.get(f"job-{slot}")
    if previous not in (None, key):
        jobs.background.stop(previous)
    st.session_state[f"job-{slot}"] = key
    try:
        state = MapState(_pca(key, points, options)) if options.method == "pca" else None
    except CMRError as error:
        state = MapState(problem=str(error))
    state = state or jobs.state(points, options)
    if state.problem:
        st.error(literal(state.problem))
        return None
    if state.maps is None:
        _wait(points, options)
    return state.maps


@st.cache_resource(max_entries=8, show_spinner=False)
def _pca(key: str, _points: MapInput, _options: ProjectionOptions) -> list[FloatArray]:
    return project_stages(_points.stages, _options)


@st.fragment(run_every=_POLL_SECONDS)
def _wait(given: MapInput, options: ProjectionOptions) -> None:
    state = map_jobs().state(given, options)
    if state.maps is not None or state.problem:
        st.rerun()
    points, stages = len(given.stages[-1]), len(given.stages)
    times = f" at {stages} epochs" if stages > 1 else ""
    st.progress(state.share, f"{METHODS[options.method]} of {points:,} points{times} …")


@st.cache_resource(max_entries=6, show_spinner=False)
def stages_of(facts: str, _space: Space) -> MapInput:
    """Return the vectors of a space at all stored epochs, in order."""
    return MapInput([_space.at(epoch).vectors() for epoch in (*_space.stages, _space.epoch)])


def show_map(
    space: Space,
    source: SpaceSource,
    figure: go.Figure,
    title: str,
    *,
    beside: Callable[[], None] | None = None,
) -> None:
    """Show a map with a hover card on its right and the selected items below.

    Args:
        space, source: the space and its source.
        figure: the map.
        title: title of the map, also the name of saved files.
        beside: function that draws additional content next to the map.
    """
    left, *middle, right = st.columns([3, 3, 2] if beside else [3, 1])
    for column in middle:
        with column:
            (beside or st.empty)()
    with left:
        if len(space.images) and len(space.texts):
            st.caption("Filled: images. Hollow: texts.")
        selected = figure_box(figure, title, key="map", select=True, alt=title)
    with right:
        hover_card(space, source.name + source_facts(source), "map-figure")
    if selected:
        _selection(space, [place for place in selected if place < len(space.rows)])
    elif figure.layout.scene.xaxis.range:
        st.caption("Click a point to select it.")
    else:
        st.caption("Select points with the box or lasso tool at the top right of the figure.")


def _selection(space: Space, places: Sequence[int]) -> None:
    st.subheader(f"{len(places):,} selected")
    if len(places) > _MOST_CARDS:
        st.caption(f"The first {_MOST_CARDS} are shown.")
    images = len(space.images)
    sides = ["image" if place < images else "text" for place in places[:_MOST_CARDS]]
    cards(
        Card(space.items[int(space.rows[place])], side, side)
        for place, side in zip(places, sides, strict=False)
    )


def places_of(space: Space, ids: Sequence[str], side: str) -> list[int]:
    """Return the point indices of items of one modality, in the order of the ids."""
    rows = space.image_rows if side == "image" else space.text_rows
    offset = 0 if side == "image" else len(space.images)
    places = {space.items[int(row)].id: offset + place for place, row in enumerate(rows)}
    return [places[id_] for id_ in ids if id_ in places]
