"""Plot the results of a table: MAP by class, precision-recall curves and training curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.atomic import atomic_file
from cmr_hub.errors import CMRError
from cmr_hub.experiments.artifacts import read_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cmr_hub.experiments.run_record import RunRecord
    from cmr_hub.experiments.tables import RowResult, TableResult
    from cmr_hub.types import JSONObject

_LEGEND_ROWS = 12


def draw_figures(result: TableResult, results: Path, folder: Path) -> dict[str, Path]:
    """Draw the plots of one table; equal results produce equal bytes.

    Returns:
        Files by the title of the plot; plots without data are left out.

    Raises:
        CMRError: matplotlib is not installed.
    """
    drawings = {
        "MAP by class": ("per-class", _per_class(result)),
        "Precision-recall curves": ("pr", _precision_recall(result)),
        "Training curves": ("training", _training(result, results)),
    }
    files = {}
    for title, (name, figure) in drawings.items():
        if figure is not None:
            files[title] = folder / f"{result.table.id}-{name}.png"
            save_figure(figure, files[title])
    return files


def save_figure(figure: Figure, file: Path) -> None:
    """Write a PNG; equal figures produce equal bytes."""
    with atomic_file(file) as path:
        figure.savefig(path, format="png", dpi=80, metadata={"Software": None})


def empty_figure(width: float, height: float) -> Figure:
    """Return a figure of this size in inches. Raises CMRError if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise CMRError(f"plots need matplotlib ({error}): pip install 'cmr-hub[study]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def class_map(record: RunRecord) -> dict[str, float]:
    """Return the MAP by class name, as the mean of both directions."""
    names = record.classes or []
    i2t, t2i = record.per_class_map_i2t or {}, record.per_class_map_t2i or {}
    found = {}
    for label in sorted(i2t, key=int):
        first, second = i2t[label], t2i.get(label)
        if first is not None and second is not None:
            found[names[int(label)]] = (first + second) / 2
    return found


def _mean_by_class(row: RowResult) -> dict[str, float]:
    by_seed = [class_map(record) for record in row.records.values()]
    shared = [name for name in by_seed[0] if all(name in figures for figures in by_seed)]
    return {name: float(np.mean([figures[name] for figures in by_seed])) for name in shared}


def _per_class(result: TableResult) -> Figure | None:
    groups: dict[tuple[str, ...], dict[str, Mapping[str, float]]] = {}
    for row in result.rows:
        if row.n and next(iter(row.records.values())).relevance == "class":
            figures = _mean_by_class(row)
            groups.setdefault(tuple(figures), {})[row.row.label] = figures
    if not groups:
        return None
    heights = [len(rows) for rows in groups.values()]
    figure = empty_figure(10, 1.6 * len(groups) + 0.3 * sum(heights))
    panels = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (classes, rows) in zip(panels, groups.items(), strict=True):
        shares = np.array([[figures[name] for name in classes] for figures in rows.values()])
        axes.imshow(shares, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
        axes.set_yticks(range(len(rows)), list(rows))
        for (y, x), share in np.ndenumerate(shares):
            color = "white" if share < 0.6 else "black"
            text = f"{share:.2f}".removeprefix("0")
            axes.text(x, y, text, ha="center", va="center", size=7, color=color)
    figure.suptitle("MAP@all by class, mean of both directions")
    return figure


def _precision_recall(result: TableResult) -> Figure | None:
    measured = [
        row
        for row in result.rows
        if row.n and next(iter(row.records.values())).pr_recall is not None
    ]
    if not measured:
        return None
    figure = empty_figure(9, 5)
    axes = figure.subplots()
    for index, row in enumerate(measured):
        records = list(row.records.values())
        curves = [np.add(r.pr_curve_i2t or [], r.pr_curve_t2i or []) / 2 for r in records]
        style = _style(index)
        axes.plot(records[0].pr_recall or [], np.mean(curves, axis=0), label=row.row.label, **style)
    axes.set(xlabel="recall", ylabel="interpolated precision", xlim=(0, 1), ylim=(0, 1))
    _legend(axes, len(measured))
    return figure


def _training(result: TableResult, results: Path) -> Figure | None:
    """Draw one thin line per seed, for the phase with validation if there is one."""
    lines = []
    for row in result.rows:
        for record in row.records.values():
            curve = read_curve(results, record.cell or "")
            if curve:
                lines.append((row.row.label, curve.get("select") or next(iter(curve.values()))))
    if not lines:
        return None
    figure = empty_figure(11, 5)
    score, loss = figure.subplots(1, 2)
    labels = list(dict.fromkeys(label for label, _ in lines))
    for label, columns in lines:
        style = _style(labels.index(label)) | {"linewidth": 0.8}
        for axes, name in ((score, "validation_map"), (loss, "loss")):
            values = np.array(columns.get(name, []), dtype=float)
            if name == "loss" and len(values) and values[0]:
                values = values / abs(values[0])
            axes.plot(range(1, len(values) + 1), values, **style)
    for label in labels:
        loss.plot([], [], label=label, **_style(labels.index(label)))
    score.set(xlabel="epoch", ylabel="MAP@all of the validation pairs")
    loss.set(xlabel="epoch", ylabel="loss / loss of the first epoch")
    _legend(loss, len(labels))
    return figure


def _style(index: int) -> JSONObject:
    return {"color": f"C{index % 10}", "linestyle": ("-", "--", ":")[index // 10 % 3]}


def _legend(axes: Axes, entries: int) -> None:
    columns = -(-entries // _LEGEND_ROWS)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), ncols=columns, fontsize=8)
