"""What the scripts in `benchmarks/` measured: one row each in `results/benchmarks.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cmr_hub.atomic import atomic_file
from cmr_hub.experiments.results import versions

if TYPE_CHECKING:
    from cmr_hub.types import JSONObject

BENCHMARKS: Final = Path("results/benchmarks.json")


def record_benchmark(name: str, row: JSONObject, path: Path = BENCHMARKS) -> None:
    """Puts a row, and what it was measured with, in the place of the older one of its name.

    Args:
        name: of the script.
        row: its figures; ratios to a peer of the same run above all.
        path: the file of all rows.
    """
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows[name] = {**row, "versions": versions()}
    with atomic_file(path) as file:
        file.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")
