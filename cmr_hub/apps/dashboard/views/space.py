"""Common space page: map images and texts before and after training, and raw features."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import streamlit as st

from cmr_hub.apps.dashboard.maps import map_settings, maps_of, show_map, stages_of
from cmr_hub.apps.dashboard.raw_features import FeatureJobs
from cmr_hub.apps.dashboard.sources import (
    SpaceSource,
    answers_of,
    source_facts,
    sources,
    space,
    space_sources,
)
from cmr_hub.apps.dashboard.text import literal, nothing, problems
from cmr_hub.apps.dashboard.widgets import choice, figure_box, figures, sample_note
from cmr_hub.cache_home import default_cache_home
from cmr_hub.errors import CMRError
from cmr_hub.experiments.report import number
from cmr_hub.experiments.space import Direction, Space
from cmr_hub.metrics.common_space import cluster, modality_gap, silhouette
from cmr_hub.plots.space import COLOURINGS, images_only, map_limits, space_map
from cmr_hub.projections.jobs import MapInput

if TYPE_CHECKING:
    from cmr_hub.projections.methods import ProjectionOptions
    from cmr_hub.types import FloatArray, IntArray

_POLL_SECONDS: Final = 1.0
_WAYS: Final[tuple[Direction, ...]] = ("i2t", "t2i")


def page() -> None:
    """Show the selection of a space, and its map."""
    st.title("Common space")
    found, wrong = space_sources(sources())
    problems(wrong, "the stored embeddings")
    if not found:
        nothing("There is nothing to show: no model with a gallery and no stored embeddings.")
        return
    names = {key: source.name for key, source in found.items()}
    key = choice(st, "Model or run", names, "space")
    try:
        shown = space(found[key])
    except CMRError as error:
        st.error(literal(error))
        return
    _body(found[key], shown)


@st.fragment
def _body(source: SpaceSource, shown: Space) -> None:
    sample_note(shown)
    options = map_settings(len(shown.rows))
    columns = st.columns([2, 1, 1], vertical_alignment="bottom")
    colour_by = columns[0].segmented_control(
        "Colour",
        COLOURINGS,
        default=COLOURINGS[0],
        required=True,
        key="colour",
        bind="query-params",
    )
    pairs = columns[1].toggle("Lines between pairs", key="pairs", bind="query-params")
    raw = columns[2].toggle(
        "Show raw features",
        key="raw",
        bind="query-params",
        help="Features of the image encoder, before the projector.",
    )
    epoch, stage = _epoch(shown)
    _figures(source, shown, epoch)
    maps = maps_of(stages_of(source_facts(source), shown), options, "space")
    if maps is None:
        return
    right = None
    if colour_by == "first hit":
        try:
            both = [answers_of(source, shown, way, epoch) for way in _WAYS]
        except CMRError as error:
            st.error(literal(error))
            return
        right = np.concatenate([one.first for one in both])
    clusters = _clusters(shown, epoch) if colour_by == "cluster" else None
    # PCA shows all epochs on one scale; the scales of t-SNE and UMAP have no meaning.
    limits = map_limits(maps if options.method == "pca" else [maps[stage]])
    figure = space_map(
        shown.at(epoch),
        maps[stage],
        colour_by,
        right,
        clusters=clusters,
        limits=limits,
        pairs=pairs,
    )
    show_map(
        shown,
        source,
        figure,
        f"{source.name} {options.method} epoch {epoch}",
        beside=partial(_raw, source, shown, options) if raw else None,
    )


def _clusters(shown: Space, epoch: int) -> IntArray | None:
    """Show how well the clusters of k-means match the classes, and return them."""
    now = shown.at(epoch)
    found = cluster(now.vectors(), now.labels[now.rows])
    if found is None:
        st.info("k-means needs at least two classes, and as many distinct vectors as classes.")
        return None
    st.caption(
        f"k-means of images and texts in the common space, with as many clusters as classes, each "
        f"named by its most frequent class: purity {number(found.purity)}, normalised mutual "
        f"information with the classes {number(found.nmi)}."
    )
    return found.clusters


def _epoch(shown: Space) -> tuple[int, int]:
    """Return the selected epoch and its index among the stages."""
    epochs = [*shown.stages, shown.epoch]
    if len(epochs) == 1:
        st.caption("Only the trained model is stored; `cmr train --snapshots` also stores epochs.")
        return shown.epoch, 0
    names = {at: f"epoch {at}" for at in epochs}
    names[epochs[-1]] = f"epoch {epochs[-1]}, trained model"
    if epochs[0] == 0:
        names[0] = "before training"
    epoch = st.select_slider(
        "Epoch",
        epochs,
        value=epochs[-1],
        format_func=names.__getitem__,
        key="epoch",
        bind="query-params",
    )
    return epoch, epochs.index(epoch)


def _figures(source: SpaceSource, shown: Space, epoch: int) -> None:
    now = shown.at(epoch)
    try:
        found = [number(answers_of(source, shown, way, epoch).map) for way in _WAYS]
    except CMRError:
        found = ["–", "–"]
    score = silhouette(now.vectors(), now.labels[now.rows])
    gap = modality_gap(now.images, now.texts) if len(now.images) and len(now.texts) else None
    figures(
        {
            "Modality gap": "–" if gap is None else number(gap),
            "Silhouette of the classes": "–" if score is None else number(score),
            "MAP@all image→text": found[0],
            "MAP@all text→image": found[1],
        }
    )


@st.cache_resource
def _feature_jobs(device: str) -> FeatureJobs:
    return FeatureJobs(default_cache_home() / "raw-features", device)


def _raw(source: SpaceSource, shown: Space, options: ProjectionOptions) -> None:
    st.caption("Raw image features")
    if source.model is None:
        st.info("A stored run has no pictures; select a model directory to see raw features.")
        return
    state = _feature_jobs(sources().device).state(source.model, source_facts(source))
    if state.problem:
        st.error(literal(state.problem))
    elif state.rows is None:
        _wait(source)
    else:
        _raw_map(source, shown, state.rows, options)


def _raw_map(
    source: SpaceSource, shown: Space, rows: FloatArray, options: ProjectionOptions
) -> None:
    maps = maps_of(_raw_input(source_facts(source), rows), options, "raw")
    if maps is None:
        return
    pictures = images_only(shown, rows)
    score = silhouette(rows, pictures.labels[pictures.rows])
    common = silhouette(shown.images, shown.labels[shown.image_rows])
    figure = space_map(pictures, maps[0], "class", limits=map_limits(maps))
    figure.update_layout(showlegend=False, height=470)
    figure_box(figure, f"raw features {options.method}", key="raw-map")
    st.caption(
        f"{rows.shape[1]:,} dimensions; silhouette of the classes {_silhouette_text(score)}, of "
        f"the images in the common space {_silhouette_text(common)}."
    )


def _silhouette_text(score: float | None) -> str:
    return "–" if score is None else number(score)


@st.cache_resource(max_entries=4, show_spinner=False)
def _raw_input(facts: str, _rows: FloatArray) -> MapInput:
    return MapInput([_rows])


@st.fragment(run_every=_POLL_SECONDS)
def _wait(source: SpaceSource) -> None:
    state = _feature_jobs(sources().device).state(source.model or "", source_facts(source))
    if state.rows is not None or state.problem:
        st.rerun()
    st.progress(0.0, "Encoding the pictures …")


page()
