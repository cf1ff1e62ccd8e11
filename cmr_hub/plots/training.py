"""Plot training curves of several runs with one figure per logged quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from cmr_hub.experiments.curves import smoothed
from cmr_hub.plots.style import colour, finish, plain

if TYPE_CHECKING:
    from cmr_hub.experiments.curves import Curve

NAMES = {
    "loss": "loss",
    "validation_map": "score, validation",
    "adversarial/modality_accuracy": "modality classifier, accuracy",
    "adversarial/lambda": "λ of the gradient reversal",
    "learning_rate": "learning rate",
    "seconds": "seconds per epoch",
}
"""Titles of columns; the default title of a column is its name."""
_FIRST = tuple(NAMES)[:2]
_LAST = tuple(NAMES)[2:]
_ACMR = {"label_loss": "label", "triplet_loss": "triplet", "domain_loss": "adversarial"}
"""Names of losses in logs of ACMR, and our names of the same losses."""
_DASH = {"final": "dash", "log": "dot"}


def quantities(runs: Mapping[str, Sequence[Curve]]) -> list[str]:
    """Return the names of all columns: loss and validation first, settings last."""
    found = dict.fromkeys(
        _quantity(name) for curves in runs.values() for curve in curves for name in curve.columns
    )
    parts = [name for name in found if name not in (*_FIRST, *_LAST)]
    return [n for n in _FIRST if n in found] + parts + [n for n in _LAST if n in found]


def _quantity(column: str) -> str:
    name = column.removeprefix("acmr-released/")
    return _ACMR.get(name, name)


def title(quantity: str) -> str:
    """Return the title of a column's figure."""
    return NAMES.get(quantity, quantity.replace("_", " "))


def training(
    runs: Mapping[str, Sequence[Curve]], quantity: str, *, smoothing: float = 0, log: bool = False
) -> go.Figure:
    """Plot one column of all runs by epoch.

    A run has the same colour in every figure. Final phases are dashed. With `smoothing`, the
    original curve is also drawn, in a pale colour.
    """
    figure = go.Figure()
    for index, (name, curves) in enumerate(runs.items()):
        for curve in curves:
            columns = {_quantity(column): values for column, values in curve.columns.items()}
            values = columns.get(quantity)
            if values is None or all(value is None for value in values):
                continue
            line = {"color": colour(index), "dash": _DASH.get(curve.phase, "solid"), "width": 2}
            hover = (
                f"{plain(name)}<br>{plain(curve.phase)} epoch %{{x:g}}: %{{y:.4g}}<extra></extra>"
            )
            common = {"x": curve.epochs, "hovertemplate": hover, "showlegend": False}
            mode = "lines" if len(curve.epochs) > 1 else "markers"
            if smoothing:
                figure.add_scatter(y=values, line=line, mode=mode, opacity=0.25, **common)
                values = smoothed(values, smoothing)
            figure.add_scatter(y=values, line=line, mode=mode, name=plain(name), **common)
    finish(figure, height=270, uirevision=quantity)
    figure.update_xaxes(title="epoch")
    shown = [value for trace in figure.data for value in trace.y if value is not None]
    if log:
        figure.update_yaxes(type="log", nticks=4, exponentformat="power")
    elif shown and min(shown) == max(shown) > 0:
        # Plotly's default range would exaggerate a constant line.
        figure.update_yaxes(range=[0, 2 * max(shown)])
    return figure
