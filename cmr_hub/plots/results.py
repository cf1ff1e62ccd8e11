"""Figures of groups of runs: bars, heat maps, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from cmr_hub.evaluation.report import number
from cmr_hub.plots.style import DASHES, SCALE, colour, finish, plain, short, two_lines

if TYPE_CHECKING:
    from cmr_hub.evaluation.groups import FactorGrid, RunGroup
    from cmr_hub.evaluation.space import Answers

_BAR = 22  # pixels
_GAP = 1.5  # from one row to the next, in bars
_DIGITS_UP_TO = 26  # columns of a heat map


def bars(
    groups: Sequence[RunGroup],
    names: Sequence[str],
    metric: str,
    direction: str,
    series: Sequence[str] | None = None,
) -> go.Figure:
    """A bar per group with mean ± standard deviation, and a dot per seed.

    A bar's and its dots' `customdata` is the group's place in `groups`.

    Args:
        groups, names: groups of one name stand together.
        metric, direction: as in `evaluation.groups`.
        series: of each group, what its colour means; None for one colour.
    """
    rows = list(dict.fromkeys(names))
    members = {name: [place for place, n in enumerate(names) if n == name] for name in rows}
    at: dict[int, float] = {}
    middles = []
    for name in rows:
        start = max(at.values(), default=-_GAP) + _GAP
        at |= {place: start + nth for nth, place in enumerate(members[name])}
        middles.append(start + (len(members[name]) - 1) / 2)
    last = max(at.values(), default=0.0)
    kinds = list(dict.fromkeys(series or [""]))
    figure = go.Figure()
    for index, kind in enumerate(kinds):
        places = [place for place in at if series is None or series[place] == kind]
        figure.add_bar(
            x=[groups[place].mean(metric, direction) for place in places],
            y=[at[place] for place in places],
            orientation="h",
            width=0.78,
            marker={"color": colour(index), "opacity": 0.78},
            error_x={
                "type": "data",
                "array": [groups[place].std(metric, direction) for place in places],
                "thickness": 1.5,
                "width": 3,
            },
            customdata=places,
            text=[_said(groups[place], names[place], kind, metric, direction) for place in places],
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
            name=short(kind) or "mean ± standard deviation",
        )
    dots = [
        (value, place, seed)
        for place, group in enumerate(groups)
        for seed, value in group.values(metric, direction).items()
    ]
    figure.add_scatter(
        x=[value for value, _, _ in dots],
        # One under the other, or equal figures would hide each other.
        y=[at[place] + 0.13 * (seed % 5 - 2) for _, place, seed in dots],
        mode="markers",
        marker={"color": "white", "size": 6, "line": {"color": "#333333", "width": 1.2}},
        customdata=[place for _, place, _ in dots],
        text=[f"seed {seed}: {number(value)}" for value, _, seed in dots],
        hovertemplate="%{text}<extra></extra>",
        name="one seed",
    )
    finish(figure, height=int(120 + _BAR * (last + 1)), barmode="overlay")
    figure.update_yaxes(
        tickvals=middles,
        ticktext=[two_lines(name) for name in rows],
        range=[last + 0.8, -0.8],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(title=f"{metric}, {direction}", rangemode="tozero")
    return figure


def _said(group: RunGroup, name: str, kind: str, metric: str, direction: str) -> str:
    title = "<br>".join(plain(part) for part in (name, kind) if part)
    mean = number(group.mean(metric, direction) or 0)
    return f"{title}<br>{mean} ± {_spread(group.std(metric, direction))}, n = {group.n}"


def _spread(value: float | None) -> str:
    return "–" if value is None else number(value)


def heat(grid: FactorGrid, metric: str, direction: str, row: str, column: str) -> go.Figure:
    """The best mean for every pair of values of two factors."""
    values = [
        [None if group is None else group.mean(metric, direction) for group in line]
        for line in grid.best
    ]
    hover = [
        [
            f"{plain(r)}<br>{plain(c)}<br>"
            + (
                "no runs"
                if group is None
                else f"{number(group.mean(metric, direction) or 0)}, n = {group.n}, best of "
                f"{count}<br>{plain(group.factors['method'])}"
            )
            for c, group, count in zip(grid.columns, line, counts, strict=True)
        ]
        for r, line, counts in zip(grid.rows, grid.best, grid.counts, strict=True)
    ]
    digits = len(grid.columns) <= _DIGITS_UP_TO
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=[short(name, 24) for name in grid.columns],
            y=[short(name, 24) for name in grid.rows],
            colorscale=SCALE,
            hovertext=hover,
            hovertemplate="%{hovertext}<extra></extra>",
            text=[["" if v is None else number(v) for v in line] for line in values],
            texttemplate="%{text}" if digits else "",
            colorbar={"title": {"text": metric}, "thickness": 12},
            xgap=1,
            ygap=1,
        )
    )
    finish(figure, height=170 + 32 * len(grid.rows))
    figure.update_xaxes(title=column, showgrid=False, tickangle=-35, type="category")
    figure.update_yaxes(title=row, showgrid=False, autorange="reversed", type="category")
    return figure


def precision_recall(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
) -> go.Figure:
    """Interpolated precision over recall, a line for each name."""
    figure = go.Figure()
    for index, (name, (levels, precision)) in enumerate(curves.items()):
        figure.add_scatter(
            x=levels,
            y=precision,
            name=short(name),
            mode="lines",
            line={"color": colour(index), "dash": DASHES[index // 8 % 3], "width": 2.5},
            hovertemplate="recall %{x:.2f}: precision %{y:.3f}",
        )
    finish(figure, height=430 + 16 * len(curves))
    figure.update_xaxes(title="recall", range=[0, 1])
    figure.update_yaxes(title="interpolated precision", range=[0, 1])
    return figure


def per_class(groups: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """MAP@all by class, a line of tiles for each name."""
    classes = list(dict.fromkeys(name for figures in groups.values() for name in figures))
    values = [[figures.get(name) for name in classes] for figures in groups.values()]
    figure = go.Figure(
        go.Heatmap(
            z=list(map(list, zip(*values, strict=True))),
            x=[short(name, 22) for name in groups],
            y=[short(name, 22) for name in classes],
            zmin=0,
            zmax=1,
            colorscale=SCALE,
            text=[
                ["" if v is None else number(v) for v in column]
                for column in zip(*values, strict=True)
            ],
            texttemplate="%{text}",
            hovertemplate="%{y}<br>%{x}: %{z:.3f}<extra></extra>",
            colorbar={"title": {"text": "MAP@all"}, "thickness": 12},
            xgap=1,
            ygap=1,
        )
    )
    finish(figure, height=150 + 24 * len(classes))
    figure.update_xaxes(showgrid=False, tickangle=-35, type="category")
    figure.update_yaxes(showgrid=False, autorange="reversed", type="category")
    return figure


def confusion(answers: Answers, classes: Sequence[str], depth: int) -> go.Figure:
    """Of the first hits of a class's queries, the share of every class."""
    shares = np.asarray(answers.confusion)
    named = [short(name, 18) for name in classes]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=named,
            y=named,
            zmin=0,
            zmax=1,
            colorscale=SCALE,
            hovertemplate=f"asked %{{y}}, found %{{x}}:<br>%{{z:.0%}} of the first {depth}"
            "<extra></extra>",
            colorbar={"title": {"text": "share"}, "thickness": 12, "tickformat": ".0%"},
            xgap=1,
            ygap=1,
        )
    )
    finish(figure, height=150 + 22 * len(classes))
    figure.update_xaxes(title="found", showgrid=False, tickangle=-45, type="category")
    figure.update_yaxes(title="asked", showgrid=False, autorange="reversed", type="category")
    return figure
