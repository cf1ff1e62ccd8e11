"""The pictures of a model card: training curves and a map of the common space."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cmr_hub.errors import CMRError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.where import Where
from cmr_hub.types import Modality

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cmr_hub.types import FloatArray

_NOT_A_LOSS: Final = {"epoch", "loss", "learning_rate", "seconds", "validation_map"}
_MOST_POINTS: Final = 1000
_MARKERS: Final[dict[Modality, str]] = {"image": "o", "text": "x"}


def draw_curves(history: Sequence[Mapping[str, Any]]) -> bytes | None:
    """Plot the losses and the validation score by epoch as PNG; None without a history.

    If the number of epochs was selected in a first phase, that phase is plotted.
    """
    rows = [row for row in history if row.get("phase", "select") == "select"] or list(history)
    if len(rows) < 2:
        return None
    figure = _figure(9, 3.2)
    losses, score = figure.subplots(1, 2)
    epochs = range(1, len(rows) + 1)
    names = [
        name
        for name, value in rows[0].items()
        if name == "loss" or (name not in _NOT_A_LOSS and isinstance(value, float))
    ]
    for name in names:
        losses.plot(epochs, [row.get(name) for row in rows], label=name)
    losses.set(xlabel="epoch", ylabel="loss")
    losses.legend(frameon=False)
    score.plot(epochs, [row.get("validation_map") for row in rows], marker="o", markersize=3)
    score.set(xlabel="epoch", ylabel="score of the validation pairs")
    return _png(figure)


def draw_common_space(gallery: Any) -> bytes | None:
    """Plot a t-SNE of the image and text vectors of a gallery, coloured by class, as PNG.

    Returns None if there is no gallery or it has fewer than 10 pairs.
    """
    if not isinstance(gallery, Gallery):
        return None
    ids = gallery.store.table(Where("modality = 'pair'")).column("id").to_pylist()
    if len(ids) < 10:
        return None
    from sklearn.manifold import TSNE

    pairs = gallery.store.rows(ids[:: -(-len(ids) // _MOST_POINTS)])
    rows: FloatArray = np.vstack([pairs.vectors[target].matrix for target in _MARKERS])
    labels = [label or "" for label in pairs.items.column("label").to_pylist()]
    points = TSNE(
        metric="cosine", init="random", perplexity=min(30, len(rows) // 4), random_state=0
    ).fit_transform(rows)
    figure = _figure(9, 6)
    axes = figure.subplots()
    colours = {label: f"C{index}" for index, label in enumerate(sorted(set(labels)))}
    if len(colours) > 10:
        from matplotlib import colormaps

        palette = colormaps["tab20"].colors  # type: ignore[attr-defined]
        colours = {label: palette[index % 20] for index, label in enumerate(sorted(colours))}
    point_colours = [colours[label] for label in labels]
    for index, marker in enumerate(_MARKERS.values()):
        part = points[index * len(labels) : (index + 1) * len(labels)]
        axes.scatter(part[:, 0], part[:, 1], c=point_colours, marker=marker, s=22, linewidths=1)
    for label, colour in colours.items():
        axes.plot([], [], "s", color=colour, label=label or "no class")
    for target, marker in _MARKERS.items():
        axes.plot([], [], marker, color="black", label=target)
    axes.set(xticks=[], yticks=[])
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return _png(figure)


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CMRError(
            f"the pictures of a card need matplotlib ({error}): pip install 'cmr-hub[study]'"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=80, metadata={"Software": None})
    return content.getvalue()
