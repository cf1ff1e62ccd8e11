"""A report that is killed, interrupted, or out of disk space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cmr_process import STOPPED, Cmr, Cut

from cmr_hub.experiments.plan import Plan, PlannedRow, PlannedTable
from cmr_hub.experiments.results import append_run

pytestmark = pytest.mark.faults

RECORD = {
    "cell": "a" * 32,
    "dataset": "pascal-sentence",
    "protocol": "800/200",
    "image_encoder": "mobilenet_v2",
    "image_weights": "abc",
    "text_encoder": "bow",
    "preset": "acmr-paper",
    "objective": "label",
    "seed": 0,
    "epochs": 3,
    "map_i2t": 0.6,
    "map_t2i": 0.4,
    "map_avg": 0.5,
    "map50_avg": 0.3,
    "map50_denominator": "relevant",
    "image_accuracy": 0.7,
    "text_accuracy": None,
    "relevance": "class",
    "per_class_map_i2t": {"0": 0.6, "1": 0.6},
    "per_class_map_t2i": {"0": 0.4, "1": 0.4},
    "pr_recall": [0.0, 0.5, 1.0],
    "pr_curve_i2t": [1.0, 0.6, 0.2],
    "pr_curve_t2i": [0.9, 0.5, 0.1],
    "classes": ["cat", "dog"],
    "seconds": 36.0,
    "versions": {"cmr_hub": "9.9", "cpus": 2},
}


def study(results: Path) -> None:
    row = PlannedRow(
        label="BoW",
        dataset="pascal-sentence",
        protocol="800/200",
        image_encoder="mobilenet_v2",
        text_encoder="bow",
        method="acmr-paper",
        published=(),
        cells={0: "a" * 32},
    )
    table = PlannedTable(id="t", title="T", reference="BoW", published=(), rows=(row,))
    Plan(name="study", title="Study", tables=(table,)).save(results)
    append_run(RECORD, results / "runs.jsonl")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "ballast"
    }


def test_cut_short(cmr: Cmr, disk: Any) -> None:
    results = disk.path / "results"
    study(results)
    assert cmr("report", "--results", results).code == 0
    whole = contents(results)
    at = "cmr_hub.experiments.report:atomic_file"
    for do in ("kill", "stop", "fill"):
        cut = disk.full_at(at) if do == "fill" else Cut(at, do)
        ended = cmr("report", "--results", results, cut=cut)
        if do == "fill":
            assert ended.error.startswith(f"error: cannot write {results / 'report.md'}: ")
        else:
            assert ended.code == (-9 if do == "kill" else 130)
            assert ended.err == ("" if do == "kill" else STOPPED)
        assert contents(results)["report.md"] == whole["report.md"]
    disk.make_room()
    assert cmr("report", "--results", results).code == 0
    assert contents(results).keys() == whole.keys()
    assert contents(results)["report.md"] == whole["report.md"]
