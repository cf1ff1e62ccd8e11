"""Quality of a release's encoders against training time."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmr_hub.atomic import atomic_file
from cmr_hub.errors import DataFormatError
from cmr_hub.experiments.figures import empty_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

HISTORY = "history.jsonl"
_SETTINGS = ("distillation.json", "alignment.json")
COLUMNS = ["training", "epoch", "minutes", "dataset", "figure", "value"]
_SHOWN = {"recall@10": "Recall@10, text→image", "map": "MAP of the class, both ways"}


def quality_curve(distilled: Path | None, aligned: Path) -> list[dict[str, Any]]:
    """Return the figures of the held-out pictures after each epoch of alignment.

    Args:
        distilled: output directory of `distill`, if the encoder started from it; its training time
            is included.
        aligned: output directory of `align`.

    Returns:
        Rows of `epoch`, `minutes` since the start of training, `dataset`, `figure` and `value`.

    Raises:
        DataFormatError: a history cannot be read.
    """
    seconds = 0.0 if distilled is None else sum(row["seconds"] for row in read_history(distilled))
    rows = []
    for epoch in read_history(aligned):
        seconds += epoch["seconds"]
        rows += [
            {
                "epoch": epoch["epoch"],
                "minutes": round(seconds / 60, 2),
                "dataset": dataset,
                "figure": figure,
                "value": round(value, 4),
            }
            for dataset, figures in epoch.get("held_out", {}).items()
            for figure, value in figures.items()
        ]
    return rows


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Read history.jsonl, one row per epoch. Raises DataFormatError."""
    file = folder / HISTORY
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataFormatError(f"{file} cannot be read: {error}") from error
    if not rows or not all(isinstance(row, dict) and "seconds" in row for row in rows):
        raise DataFormatError(f"{file} is not a training history")
    return rows


def keep_record(training: Path, home: Path) -> None:
    """Copy the settings and the history of a training to `home`.

    Raises DataFormatError if `training` does not contain them.
    """
    read_history(training)
    settings = [training / name for name in _SETTINGS if (training / name).is_file()]
    if not settings:
        raise DataFormatError(f"{training} has none of {', '.join(_SETTINGS)}")
    for source in (*settings, training / HISTORY):
        with atomic_file(home / source.name) as file:
            file.write_bytes(source.read_bytes())


def write_quality_curves(
    curves: Mapping[str, Sequence[Mapping[str, Any]]], table: Path, picture: Path
) -> None:
    """Write the curves, by the name of the training, as CSV and as a plot."""
    with atomic_file(table) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for name, rows in curves.items():
            writer.writerows({"training": name, **row} for row in rows)
    figure = empty_figure(10, 5)
    datasets = sorted({row["dataset"] for rows in curves.values() for row in rows})
    colours = {dataset: f"C{number}" for number, dataset in enumerate(datasets)}
    lines: dict[str, Line2D] = {}
    for axes, (shown, label) in zip(figure.subplots(1, len(_SHOWN)), _SHOWN.items(), strict=True):
        for style, (name, rows) in zip(("-", "--"), curves.items(), strict=False):
            for dataset, colour in colours.items():
                points = [
                    (row["minutes"], row["value"])
                    for row in rows
                    if (row["dataset"], row["figure"]) == (dataset, shown)
                ]
                if points:
                    (line,) = axes.plot(*zip(*points, strict=True), style, color=colour)
                    lines.setdefault(f"{dataset}, {name}", line)
        axes.set(xlabel="minutes of training, all on one core", ylabel=label, ylim=(0, 1.02))
    figure.legend([*lines.values()], [*lines], loc="outside lower center", ncols=len(curves))
    save_figure(figure, picture)
