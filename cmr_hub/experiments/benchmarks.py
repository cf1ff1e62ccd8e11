"""Store the results of the scripts in `benchmarks/`: one row each in `results/benchmarks.json`."""

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
    """Store the row of a benchmark with the library versions, replacing its older row.

    Args:
        name: name of the script.
        row: its figures, preferably ratios to another library measured in the same run.
        path: the file of all rows.
    """
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows[name] = {**row, "versions": versions()}
    with atomic_file(path) as file:
        file.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")
