from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from typer.testing import CliRunner

from cmr_hub.cli import app
from cmr_hub.errors import CMRError, UnknownNameError
from cmr_hub.experiments.ablate import Summary, planned_cells, run_grid
from cmr_hub.experiments.artifacts import read_curve
from cmr_hub.experiments.grid import Choice, build_method, read_grid
from cmr_hub.experiments.plan import Cell, make_plan
from cmr_hub.experiments.report import write_report
from cmr_hub.experiments.results import read_runs
from cmr_hub.experiments.workers import Materials, Workbench, run_all
from cmr_hub.metrics.retrieval import mean_average_precision
from cmr_hub.training.presets import PRESETS, Preset


def records(results: Path) -> list[dict[str, Any]]:
    found, problems = read_runs(results / "runs.jsonl")
    assert problems == []
    return found


def with_failing_rows(grid: Path) -> None:
    """Adds one row whose data is missing, and one whose training diverges."""
    grid.write_text(
        grid.read_text()
        + """
[[tables]]
id = "failing"
title = "Failing"
reference = "no data"
rows = [
    { label = "no data", dataset = { name = "wikipedia-features", text = "tfidf" } },
    { label = "diverges", method = { name = "acmr-paper", learning_rate = 1e30, epochs = 3 } },
]
"""
    )


@dataclass
class Ran:
    results: Path
    summary: Summary
    again: Summary


@pytest.fixture
def ran(small_grid: Path, synthetic_home: Path, tmp_path: Path) -> Ran:
    with_failing_rows(small_grid)
    grid, results = read_grid(small_grid), tmp_path / "results"
    summary = run_grid(grid, results, workers=2)
    before = (results / "runs.jsonl").read_bytes()
    good = grid.model_copy(update={"tables": grid.tables[:2]})
    again = run_grid(good, results, workers=2)
    assert (results / "runs.jsonl").read_bytes() == before
    return Ran(results, summary, again)


def test_a_grid_is_run_and_what_fails_stops_nothing_else(ran: Ran, synthetic_home: Path) -> None:
    results, summary = ran.results, ran.summary
    assert (summary.run, summary.found) == (6, 0)
    assert (ran.again.run, ran.again.found, ran.again.failures) == (0, 6, [])
    reasons = {failure.where: failure.reason for failure in summary.failures}
    assert sorted(reasons) == [
        f"failing, {label}, seed {seed}" for label in ("diverges", "no data") for seed in (0, 1)
    ]
    assert "raw_features_tfidf.mat" in reasons["failing, no data, seed 0"]
    assert "lower the learning rate" in reasons["failing, diverges, seed 1"]

    found = records(results)
    assert len({record.cell for record in found}) == len(found) == 6
    shared = [record for record in found if record.row == "small net"]
    assert [record.tables for record in shared] == [["methods", "losses"]] * 2
    assert {record.seed for record in shared} == {0, 1}
    for record in found:
        assert record.grid == "small"
        assert record.classes == [f"class{n}" for n in range(10)]
        assert record.pairs == {"train": 2173, "validation": 231, "test": 462}
        curve = read_curve(results, record.cell)
        if record.row == "chance":
            assert curve is None
            assert record.validation_map is None
            assert record.map_avg < 0.15
        else:
            assert curve is not None
            assert len(curve["select"]["loss"]) == record.epochs or record.epochs == 1
            best = max(filter(None, curve["select"]["validation_map"]))
            assert record.validation_map == pytest.approx(best, rel=1e-3)
    # Changed fields make another method than the preset: no embeddings of these.
    assert not (results / "embeddings").exists()
    for path in results.rglob("*.json*"):
        assert str(synthetic_home) not in path.read_text()
    assert list(results.rglob("*.tmp")) == []
    report = write_report(results).read_text()
    assert re.search(r"\| small net \|.*\| 2 \| \.\d{3} ± \.\d{3} \|", report)


def test_a_preset_as_it_stands_leaves_its_test_embeddings(
    small_grid: Path, synthetic_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = planned_cells(read_grid(small_grid), tmp_path, {})[1]
    changed = next(cell for cell in cells if cell.settings.method.name == "acmr-paper")
    bench = Workbench(Materials({}, None, {str(changed.settings.dataset): frozenset()}))
    finished = bench.run(changed)
    assert finished.embeddings is None

    quick = build_method(changed.settings.method)
    assert isinstance(quick, Preset)
    monkeypatch.setitem(PRESETS, "quick", replace(quick, name="quick"))
    settings = changed.settings.model_copy(update={"method": Choice(name="quick")})
    left = bench.run(Cell(settings, 0, "key")).embeddings
    assert left is not None
    assert (left.cell, left.dataset, left.text_encoder) == ("key", "wikipedia-features", "lda")
    np.testing.assert_array_equal(left.labels, np.arange(2404, 2866) % 10)
    assert left.ids[0] == f"{2404:032x}-1"
    assert left.validation_map == finished.record.validation_map
    # They are those of the figures.
    i2t = mean_average_precision(left.images, left.texts, left.labels, left.labels).value
    assert i2t == pytest.approx(finished.record.map_i2t)


@pytest.mark.faults
def test_a_process_that_dies_takes_one_cell_along(
    small_grid: Path, synthetic_home: Path, tmp_path: Path
) -> None:
    _, cells, _ = planned_cells(read_grid(small_grid), tmp_path, {})
    materials = Materials({}, None, {str(cells[0].settings.dataset): frozenset()})

    others = set(multiprocessing.active_children())  # of tests before

    def kill_the_first() -> None:
        while not (children := set(multiprocessing.active_children()) - others):
            time.sleep(0.01)
        os.kill(children.pop().pid or 0, signal.SIGKILL)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    chance = [cell for cell in cells if cell.settings.method.name == "random"]
    (first, reason), (second, finished) = run_all(chance, materials, 1)
    killer.join()
    assert [first, second] == chance
    assert isinstance(reason, str)
    assert "its process died" in reason
    assert not isinstance(finished, str)
    assert finished.record.preset == "random"
    assert set(multiprocessing.active_children()) <= others


def test_a_process_that_dies_while_it_starts(
    small_grid: Path, synthetic_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, cells, _ = planned_cells(read_grid(small_grid), tmp_path, {})
    materials = Materials({}, None, {str(cells[0].settings.dataset): frozenset()})
    submit, broken = ProcessPoolExecutor.submit, iter([BrokenPipeError("gone")])

    def breaks_once(pool: ProcessPoolExecutor, *given: Any) -> Any:
        if (error := next(broken, None)) is not None:
            raise error
        return submit(pool, *given)

    monkeypatch.setattr(ProcessPoolExecutor, "submit", breaks_once)
    chance = [cell for cell in cells if cell.settings.method.name == "random"]
    (first, reason), (second, finished) = run_all(chance, materials, 1)
    assert [first, second] == chance
    assert "its process died" in reason
    assert not isinstance(finished, str)


def test_one_runner_at_a_time(small_grid: Path, tmp_path: Path) -> None:
    other = FileLock(tmp_path / ".writer.lock")
    with other, pytest.raises(CMRError, match="another process is writing to"):
        run_grid(read_grid(small_grid), tmp_path)
    assert not (tmp_path / "runs.jsonl").exists()


def test_encoders_must_fit_the_dataset(
    small_grid: Path, synthetic_home: Path, tmp_path: Path
) -> None:
    cell = planned_cells(read_grid(small_grid), tmp_path, {})[1][0]
    bench = Workbench(Materials({}, None, {str(cell.settings.dataset): frozenset()}))
    settings = cell.settings.model_copy(update={"image_encoder": "mobilenet_v2"})
    with pytest.raises(CMRError, match="its own features: both encoders must be 'precomputed'"):
        bench.run(replace(cell, settings=settings))


def test_weights_of_an_unknown_encoder_are_refused(small_grid: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="unknown image encoder 'resnet'"):
        run_grid(read_grid(small_grid), tmp_path, image_weights={"resnet": Path("x")})


def test_dry_run_lists_and_writes_nothing(small_grid: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    ran = CliRunner().invoke(
        app, ["ablate", str(small_grid), "--results", str(results), "--dry-run"]
    )
    assert ran.exit_code == 0, ran.output
    assert "6 to run, 0 already stored" in ran.output
    _, planned = make_plan(read_grid(small_grid), {})
    assert all(key[:8] in ran.output for key in planned)
    assert not results.exists()


def test_the_command_fails_where_a_cell_fails(
    small_grid: Path, synthetic_home: Path, tmp_path: Path
) -> None:
    (synthetic_home / "wikipedia" / "raw_features.mat").unlink()
    results = tmp_path / "results"
    ran = CliRunner().invoke(app, ["ablate", str(small_grid), "--results", str(results)])
    assert ran.exit_code == 1
    assert "0 run, 0 already stored, 6 failed" in ran.output
    assert ran.output.count("Expected layout") == 1


@pytest.mark.parametrize("given", ["mobilenet_v2", "=x", "mobilenet_v2="])
def test_image_weights_want_a_name_and_a_file(small_grid: Path, given: str) -> None:
    ran = CliRunner().invoke(app, ["ablate", str(small_grid), "--image-weights", given])
    assert isinstance(ran.exception, CMRError)
    assert "needs NAME=FILE" in str(ran.exception)


def test_adapter_is_a_method_like_any_other(
    small_grid: Path, synthetic_home: Path, tmp_path: Path
) -> None:
    """Its features are of one length by chance: no dual encoder, but all that the preset asks."""
    small_grid.write_text(
        small_grid.read_text().replace(
            '{ label = "chance", method = "random" }',
            '{ label = "adapted", method = { name = "adapter", epochs = 2 } }',
        )
    )
    results = tmp_path / "results"
    run_grid(read_grid(small_grid), results, workers=1)
    adapted = [run for run in records(results) if run.preset == "adapter"]
    assert len(adapted) == 2
    for run in adapted:
        assert run.validation_map >= run.zero_shot.validation_map
        if not run.epochs:
            assert run.map_avg == run.zero_shot.map_avg
    text = write_report(results).read_text(encoding="utf-8")
    assert "| adapted, zero-shot |" in text
