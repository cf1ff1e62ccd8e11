"""`results/benchmarks.json`: one row for each thing that a benchmark measured."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

from cmr_hub.atomic import atomic_file

FILE = Path(__file__).parents[1] / "results" / "benchmarks.json"


def record(
    benchmark: str, measure: str, value: float, unit: str, goal: str, met: bool, **settings: Any
) -> None:
    """Adds a row, in place of an older one of the same measure, and prints it.

    Args:
        benchmark: the script's name.
        measure: what was measured.
        value: the figure.
        unit: of it; "ratio" for those of two runs side by side.
        goal: what it should be, in words.
        met: whether it is.
        settings: how it was measured.
    """
    rows = json.loads(FILE.read_text()) if FILE.exists() else []
    rows = [row for row in rows if (row["benchmark"], row["measure"]) != (benchmark, measure)]
    machine = f"{os.cpu_count()} cores, {platform.machine()}"
    load = round(os.getloadavg()[0], 1)
    rows.append(
        {
            "benchmark": benchmark,
            "measure": measure,
            "value": float(f"{value:.4g}"),
            "unit": unit,
            "goal": goal,
            "met": bool(met),
            "machine": machine,
            "load": load,
            "settings": settings,
        }
    )
    rows.sort(key=lambda row: (row["benchmark"], row["measure"]))
    with atomic_file(FILE) as file:
        file.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(f"{'met ' if met else 'MISSED'} {measure}: {value:.4g} {unit} (goal: {goal})", flush=True)
