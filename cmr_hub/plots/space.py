"""Plot an interactive map of a space with images and texts as points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import plotly.graph_objects as go

from cmr_hub.experiments.space import Space, pair_losses
from cmr_hub.plots.style import COLOURS, MUTED, SCALE, SYMBOLS, colour, finish, short

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import FloatArray, IntArray

ColourBy = Literal["class", "modality", "pair loss", "first hit", "cluster"]
COLOURINGS: tuple[ColourBy, ...] = ("class", "modality", "pair loss", "first hit", "cluster")

_HOLLOW = "-open"
_LEGEND_COLUMNS = 3  # minimum number of entries in a row of the legend
_LEGEND_ROW = 22  # pixels


@dataclass(frozen=True)
class _Layer:
    """Points with the same style, which form one trace and one entry of the legend."""

    name: str
    points: IntArray
    marker: dict[str, Any]
    group: str
    listed: bool = True


def space_map(
    space: Space,
    coordinates: FloatArray,
    colour_by: ColourBy,
    right: npt.NDArray[np.bool_] | None = None,
    *,
    clusters: IntArray | None = None,
    limits: Sequence[tuple[float, float]] | None = None,
    pairs: bool = False,
    marked: Sequence[int] = (),
) -> go.Figure:
    """Plot images as filled and texts as hollow points.

    The `customdata` of a point is its index; images come before texts.

    Args:
        space: the space.
        coordinates: (Ni + Nt, k), k = 2 or 3.
        colour_by: meaning of the colours.
        right: (Ni + Nt,) whether the first hit of each point is relevant; for "first hit".
        clusters: (Ni + Nt,) cluster of each point; for "cluster".
        limits: range of each axis; needed to compare several maps.
        pairs: whether to draw a line from each image to its text.
        marked: indices of hits, which are circled and labelled with their rank.
    """
    figure = go.Figure()
    flat = coordinates.shape[1] == 2
    count = len(coordinates)
    size = 9.0 if count <= 1_000 else 6.0 if count <= 5_000 else 4.0
    if not flat:
        size *= 0.6
    trace = go.Scattergl if flat else go.Scatter3d
    if pairs and len(space.pairs):
        figure.add_trace(
            trace(
                **_axes(_segments(space, coordinates)),
                mode="lines",
                # Plotly does not draw translucent lines in 3D.
                line={"color": MUTED if flat else "#8A8A8A", "width": 1 if flat else 2},
                hoverinfo="skip",
                name="pairs",
                showlegend=False,
            )
        )
    layers = _layers(space, colour_by, right, clusters, flat=flat)
    for layer in layers:
        figure.add_trace(
            trace(
                **_axes(coordinates[layer.points]),
                mode="markers",
                marker={"size": size, "opacity": 0.85, **layer.marker},
                customdata=layer.points,
                hoverinfo="none",  # the page shows a card instead
                name=short(layer.name, 22),
                legendgroup=layer.group,
                showlegend=layer.listed,
            )
        )
    if len(marked):
        figure.add_trace(
            trace(
                **_axes(coordinates[list(marked)]),
                mode="markers+text",
                marker={
                    "size": size * 2,
                    "symbol": "circle" + _HOLLOW,
                    "color": COLOURS[5],
                    "line": {"width": 2.5, "color": COLOURS[5]},
                },
                text=[str(rank) for rank in range(1, len(marked) + 1)],
                textposition="top center",
                customdata=list(marked),
                hoverinfo="none",
                name="hits",
                showlegend=False,
            )
        )
    # Plotly limits a legend below the map to half of the height, and scrolls the rest.
    rows = -(-sum(layer.listed for layer in layers) // _LEGEND_COLUMNS)
    finish(
        figure,
        height=max(640, 2 * _LEGEND_ROW * (rows + 1)),
        dragmode="pan" if flat else "orbit",
        uirevision="map",
        legend={
            "orientation": "h",
            "yanchor": "top",
            "y": -0.02,
            "x": 0,
            "title": None,
            "font": {"size": 12},
            "itemsizing": "constant",
        },
    )
    hidden = {"showticklabels": False, "title": "", "zeroline": False, "showgrid": flat}
    names = "xyz"[: coordinates.shape[1]]
    spans = {
        f"{name}axis": hidden | ({} if limits is None else {"range": list(limits[axis])})
        for axis, name in enumerate(names)
    }
    if flat:
        figure.update_layout(**spans)
        figure.update_yaxes(scaleanchor="x", scaleratio=1)
    else:
        figure.update_layout(scene={**spans, "aspectmode": "data"})
    return figure


def map_limits(maps: Sequence[FloatArray]) -> list[tuple[float, float]]:
    """Return the range of each axis over all maps, extended by a margin."""
    low = np.min([one.min(0) for one in maps], axis=0)
    high = np.max([one.max(0) for one in maps], axis=0)
    margin = np.maximum(0.05 * (high - low), 1e-3)
    return [(float(a), float(b)) for a, b in zip(low - margin, high + margin, strict=True)]


def images_only(space: Space, rows: FloatArray) -> Space:
    """Return a space of the same images with other (Ni, D) vectors and without texts."""
    nothing = np.empty((0, rows.shape[1]), np.float32)
    return Space(rows, nothing, space.image_rows, np.empty(0, np.int64), space.items)


def _axes(coordinates: npt.NDArray[Any]) -> dict[str, Any]:
    return {name: coordinates[:, axis] for axis, name in zip(range(coordinates.shape[1]), "xyz")}  # noqa: B905 - two or three axes


def _segments(space: Space, coordinates: FloatArray) -> npt.NDArray[np.float32]:
    """Return the (3P, k) ends of lines from images to their texts, separated by NaN."""
    image, text = space.pairs.T
    gap = np.full((len(image), coordinates.shape[1]), np.nan, np.float32)
    ends = [coordinates[image], coordinates[len(space.images) + text], gap]
    return np.stack(ends, axis=1).reshape(-1, coordinates.shape[1])


def _layers(
    space: Space,
    colour_by: ColourBy,
    right: npt.NDArray[np.bool_] | None,
    clusters: IntArray | None,
    *,
    flat: bool,
) -> list[_Layer]:
    is_text = np.arange(len(space.rows)) >= len(space.images)
    if colour_by == "modality":
        return [
            _Layer(name, np.flatnonzero(is_text == number), _shape(number, 0, number, flat), name)
            for number, name in enumerate(("image", "text"))
        ]
    if colour_by == "pair loss":
        losses = pair_losses(space)
        return [
            _Layer(
                name,
                np.flatnonzero((is_text == number) & ~np.isnan(losses)),
                {
                    "color": losses[(is_text == number) & ~np.isnan(losses)],
                    "colorscale": SCALE,
                    "cmin": 0,
                    "cmax": float(np.nanmax(losses, initial=1e-3)),
                    "symbol": "circle" + _HOLLOW * number,
                    "showscale": number == 0,
                    "colorbar": {"title": {"text": "1 − cos"}, "thickness": 12},
                },
                name,
            )
            for number, name in enumerate(("image", "text"))
        ]
    if colour_by == "first hit" and right is not None:
        return [
            _Layer(
                f"{name}: first hit {verdict}",
                np.flatnonzero((is_text == number) & (right == is_right)),
                _shape(2 if is_right else 5, 0 if is_right else 3, number, flat),
                verdict,
            )
            for is_right, verdict in ((True, "right"), (False, "wrong"))
            for number, name in enumerate(("image", "text"))
        ]
    labels = space.labels[space.rows]
    named = [*enumerate(space.classes), *([(-1, "no class")] if (labels < 0).any() else [])]
    if colour_by == "cluster" and clusters is not None:
        names, named = dict(named), []
        for number in np.unique(clusters):
            of, counts = np.unique(labels[clusters == number], return_counts=True)
            named.append((int(number), f"{number + 1}: {names[of[counts.argmax()]]}"))
        labels = clusters
    layers: dict[tuple[int, int], _Layer] = {}
    for label, name in named:
        for number in (0, 1):
            points = np.flatnonzero((labels == label) & (is_text == number))
            if len(points):
                hue, symbol = (label % 8, label // 8 % 4) if label >= 0 else (6, 3)
                shape, first = _shape(hue, symbol, number, flat), (label, 0) not in layers
                layers[label, number] = _Layer(name, points, shape, name, listed=first)
    return list(layers.values())


def _shape(hue: int, symbol: int, is_text: int, flat: bool) -> dict[str, Any]:
    # Plotly has no hollow cross in 3D.
    name = SYMBOLS[symbol if flat else symbol % 3]
    marker = {"color": colour(hue), "symbol": name + _HOLLOW * is_text}
    if is_text and flat:
        marker["line"] = {"width": 1.5, "color": colour(hue)}  # type: ignore[assignment]
    return marker
