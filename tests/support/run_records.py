"""Create run records for tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cmr_hub.experiments.results import append_run
from cmr_hub.experiments.run_groups import RunGroup, grouped
from cmr_hub.experiments.run_index import run_index
from cmr_hub.experiments.run_record import RunRecord


def run_record(**fields: Any) -> RunRecord:
    """Return a record with these fields and placeholders in the other required fields."""
    given: dict[str, Any] = {
        "dataset": "pets",
        "protocol": "800/200",
        "image_encoder": "compact",
        "text_encoder": "bow",
        "preset": "acmr-paper",
        "objective": "1 label",
        "seed": 0,
        "epochs": 3,
        "seconds": 1.5,
        "versions": {},
        **dict.fromkeys(("map_i2t", "map_t2i", "map_avg", "map50_avg")),
        **dict.fromkeys(("image_accuracy", "text_accuracy")),
    }
    return RunRecord.parse(given | fields)


def groups_of(records: Iterable[RunRecord]) -> list[RunGroup]:
    """The groups of these records, which are read from a store."""
    path = Path(mkdtemp(prefix="cmr-runs-")) / "runs.jsonl"
    for one in records:
        append_run(one, path)
    return grouped(run_index(path))
