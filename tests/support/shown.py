"""Format figures of `results/` as the documentation shows them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "results"


def short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def rows(table: str) -> dict[str, dict[str, str]]:
    """Return the measured rows of a table by name."""
    with (RESULTS / f"{table}.csv").open(encoding="utf-8") as file:
        return {row["row"]: row for row in csv.DictReader(file) if row["n_seeds"] != "0"}


def figures(table: str) -> dict[str, str]:
    """Return `mean ± std` for the rows of a table."""
    return {
        name: f"{short(float(row['map_avg_mean']))} ± {short(float(row['map_avg_std']))}"
        for name, row in rows(table).items()
    }


def default_rows(name: str, note: str = "") -> list[str]:
    """Return the results of an included model as table rows."""
    found = json.loads((RESULTS / name).read_text(encoding="utf-8"))["figures"]
    lines = []
    for dataset, shown in (
        ("sketches", "sketches, 1,000 of held-out seeds"),
        ("pascal-sentence", "Pascal Sentence, 200 test pictures"),
        ("flickr8k", "Flickr8k, 1,000 validation pictures"),
    ):
        of = found[dataset]
        recall = [short(of["sentences"][f"recall_at_{k}"]) for k in (1, 5, 10)]
        of_class = short(of["map_avg"]) if "map_avg" in of else "no classes"
        lines.append(f"| {shown}{note} | {' | '.join(recall)} | {of_class} |")
    return lines
