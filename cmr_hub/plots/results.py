"""Plot groups of runs as bars, differences, heat maps and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from cmr_hub.experiments.report import number, verdict
from cmr_hub.plots.style import DASHES, MUTED, SCALE, colour, finish, plain, short, two_lines

if TYPE_CHECKING:
    from cmr_hub.experiments.run_groups import FactorGrid, RunGroup
    from cmr_hub.experiments.space import Answers
    from cmr_hub.experiments.tables import Significance

_BAR = 22  # pixels
_GAP = 1.5  # distance of two rows, in bars
_DIGITS_UP_TO = 26  # maximum number of columns of a heat map with numbers in its tiles


def bars(
    groups: Sequence[RunGroup],
    names: Sequence[str],
    metric: str,
    direction: str,
    series: Sequence[str] | None = None,
) -> go.Figure:
    """Plot a bar per group with mean ± standard deviation, and a dot per seed.

    The `customdata` of a bar or dot is the index of its group.

    Args:
        groups, names: groups and their names; groups with the same name share a row.
        metric, direction: as in `experiments.run_groups`.
        series: category of each group, shown by colour; None for one colour.
    """
    rows = list(dict.fromkeys(names))
    members = {name: [group for group, n in enumerate(names) if n == name] for name in rows}
    heights: dict[int, float] = {}
    middles = []
    for name in rows:
        start = max(heights.values(), default=-_GAP) + _GAP
        heights |= {group: start + nth for nth, group in enumerate(members[name])}
        middles.append(start + (len(members[name]) - 1) / 2)
    last = max(heights.values(), default=0.0)
    kinds = list(dict.fromkeys(series or [""]))
    figure = go.Figure()
    for index, kind in enumerate(kinds):
        indices = [group for group in heights if series is None or series[group] == kind]
        figure.add_bar(
            x=[groups[group].mean(metric, direction) for group in indices],
            y=[heights[group] for group in indices],
            orientation="h",
            width=0.78,
            marker={"color": colour(index), "opacity": 0.78},
            error_x={
                "type": "data",
                "array": [groups[group].std(metric, direction) for group in indices],
                "thickness": 1.5,
                "width": 3,
            },
            customdata=indices,
            text=[
                _hover(groups[group], names[group], kind, metric, direction) for group in indices
            ],
            textposition="none",
            hovertemplate="%{text}<extra></extra>",
            name=short(kind) or "mean ± standard deviation",
        )
    dots = [
        (value, index, seed)
        for index, group in enumerate(groups)
        for seed, value in group.values(metric, direction).items()
    ]
    figure.add_scatter(
        x=[value for value, _, _ in dots],
        # Shift dots vertically by seed, so that equal values do not hide each other.
        y=[heights[index] + 0.13 * (seed % 5 - 2) for _, index, seed in dots],
        mode="markers",
        marker={"color": "white", "size": 6, "line": {"color": "#333333", "width": 1.2}},
        customdata=[index for _, index, _ in dots],
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


def _hover(group: RunGroup, name: str, kind: str, metric: str, direction: str) -> str:
    title = "<br>".join(plain(part) for part in (name, kind) if part)
    mean, std = number(group.mean(metric, direction) or 0), group.std(metric, direction)
    return f"{title}<br>{mean} ± {'–' if std is None else number(std)}, n = {group.n}"


def differences(
    compared: Sequence[Significance], names: Sequence[str], metric: str, direction: str
) -> go.Figure:
    """Plot the differences to a reference with 95 % intervals; significant ones are filled."""
    figure = go.Figure()
    for index, title, symbol in ((0, "significant", ""), (6, "not significant", "-open")):
        rows = [n for n, one in enumerate(compared) if one.significant == (index == 0)]
        shown = [compared[row] for row in rows]
        # A single seed has no interval.
        half_widths = [0.0 if one.high is None else one.high - one.difference for one in shown]
        figure.add_scatter(
            x=[one.difference for one in shown],
            y=rows,
            mode="markers",
            marker={"color": colour(index), "size": 10, "symbol": f"circle{symbol}"},
            error_x={"type": "data", "array": half_widths, "thickness": 1.8, "width": 4},
            text=[
                f"{plain(names[row])}<br>{plain(verdict(one))}"
                for row, one in zip(rows, shown, strict=True)
            ],
            hovertemplate="%{text}<extra></extra>",
            name=title,
        )
    finish(figure, height=int(120 + _BAR * _GAP * len(compared)))
    figure.add_vline(0, line={"color": MUTED, "width": 1.5})
    figure.update_yaxes(
        tickvals=list(range(len(compared))),
        ticktext=[two_lines(name) for name in names],
        range=[len(compared) - 0.4, -0.6],
        zeroline=False,
    )
    figure.update_xaxes(title=f"difference of {metric}, {direction}", zeroline=False)
    return figure


def heat(grid: FactorGrid, metric: str, direction: str, row: str, column: str) -> go.Figure:
    """Plot a heat map of the best mean for every pair of values of two factors."""
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
    figure = _tiles(
        values,
        grid.rows,
        grid.columns,
        hover,
        down=row,
        across=f"{column}; in the tiles {metric}, {direction}",
    )
    if len(grid.columns) > _DIGITS_UP_TO:
        return figure.update_traces(
            texttemplate="", showscale=True, colorbar={"title": {"text": metric}, "thickness": 12}
        )
    return figure


def _tiles(
    values: Sequence[Sequence[float | None]],
    rows: Sequence[str],
    columns: Sequence[str],
    hover: Sequence[Sequence[str]],
    *,
    down: str = "",
    across: str = "",
    **look: Any,
) -> go.Figure:
    """Plot a labelled tile for each pair of names.

    The axes are numeric, because two long names may be shortened to the same text.
    """
    tiles = go.Heatmap(
        z=values,
        colorscale=SCALE,
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
        text=[["" if v is None else number(v) for v in line] for line in values],
        texttemplate="%{text}",
        showscale=False,
        xgap=1,
        ygap=1,
    )
    figure = finish(go.Figure(tiles).update_traces(look), height=150 + 26 * len(rows))
    for update, names, title in (
        (figure.update_xaxes, columns, across),
        (figure.update_yaxes, rows, down),
    ):
        update(
            title=title,
            tickvals=list(range(len(names))),
            ticktext=[short(name, 24) for name in names],
            showgrid=False,
            zeroline=False,
        )
    figure.update_xaxes(tickangle=-35)
    return figure.update_yaxes(autorange="reversed")


def precision_recall(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
) -> go.Figure:
    """Plot interpolated precision over recall with one line per name."""
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
    """Plot a heat map of MAP@all by class with one column per name."""
    classes = list(dict.fromkeys(name for figures in groups.values() for name in figures))
    values = [[figures.get(name) for figures in groups.values()] for name in classes]
    hover = [
        [
            f"{plain(label)}<br>{plain(name)}: {'–' if value is None else number(value)}"
            for name, value in zip(groups, line, strict=True)
        ]
        for label, line in zip(classes, values, strict=True)
    ]
    return _tiles(values, classes, list(groups), hover, across="MAP@all by class", zmin=0, zmax=1)


def confusion(answers: Answers, classes: Sequence[str], depth: int) -> go.Figure:
    """Plot the share of every class among the first `depth` hits of the queries of each class."""
    shares = np.asarray(answers.confusion).tolist()
    hover = [
        [
            f"query {plain(row)}, hit {plain(column)}:<br>{share:.0%} of the first {depth}"
            for column, share in zip(classes, line, strict=True)
        ]
        for row, line in zip(classes, shares, strict=True)
    ]
    return _tiles(
        shares,
        classes,
        classes,
        hover,
        down="class of the query",
        across="class of the hit",
        zmin=0,
        zmax=1,
        texttemplate="",
        showscale=True,
        colorbar={"title": {"text": "share"}, "thickness": 12, "tickformat": ".0%"},
    )
