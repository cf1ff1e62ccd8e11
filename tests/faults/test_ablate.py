"""A study that is killed, runs out of disk space, or is run twice at the same time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from cmr_process import STOPPED, Cmr, Cut, Ended
from small_study import GRID

from cmr_hub.experiments.grid import read_grid
from cmr_hub.experiments.plan import make_plan
from cmr_hub.experiments.results import read_runs

pytestmark = pytest.mark.faults


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(GRID)
    return path


def ablate(cmr: Cmr, wikipedia: Path, grid: Path, results: Path, **options: Any) -> Ended:
    arguments = ["ablate", grid, "--results", results, "--workers", 1]
    return cmr(*arguments, CMR_DATA_HOME=str(wikipedia), **options)


def cells(results: Path) -> list[str]:
    records, problems = read_runs(results / "runs.jsonl")
    assert problems == []
    return sorted(record.cell for record in records)


@pytest.fixture
def planned(grid: Path) -> list[str]:
    """Return the keys of all four cells."""
    return sorted(make_plan(read_grid(grid), {})[1])


def test_killed_after_a_record_and_given_again(
    cmr: Cmr, wikipedia: Path, grid: Path, tmp_path: Path, planned: list[str]
) -> None:
    results = tmp_path / "results"
    cut = Cut("cmr_hub.experiments.ablate:append_run", nth=2, after=True)
    assert ablate(cmr, wikipedia, grid, results, cut=cut).code == -9
    assert len(cells(results)) == 2
    again = ablate(cmr, wikipedia, grid, results)
    assert again.code == 0, again.err
    assert "2 run, 2 already stored, 0 failed" in again.out
    assert cells(results) == planned
    assert not (results / ".writer").exists()


def test_a_full_disk_or_the_user_stops_it(
    cmr: Cmr, wikipedia: Path, grid: Path, disk: Any, planned: list[str]
) -> None:
    results = disk.path / "results"
    cut = disk.full_at("cmr_hub.experiments.ablate:append_run", nth=2)
    ended = ablate(cmr, wikipedia, grid, results, cut=cut)
    assert ended.error.startswith(f"error: cannot write {results / 'runs.jsonl'}: ")
    assert len(cells(results)) == 1
    disk.make_room()
    cut = Cut("cmr_hub.experiments.ablate:append_run", "stop", after=True)
    ended = ablate(cmr, wikipedia, grid, results, cut=cut)
    assert (ended.code, ended.err) == (130, STOPPED)
    assert len(cells(results)) == 2
    again = ablate(cmr, wikipedia, grid, results)
    assert "2 run, 2 already stored, 0 failed" in again.out
    assert cells(results) == planned


def test_two_at_once(cmr: Cmr, wikipedia: Path, grid: Path, tmp_path: Path) -> None:
    results, waiting = tmp_path / "results", tmp_path / "waiting"
    cut = Cut("cmr_hub.experiments.ablate:planned_cells", "wait", path=str(waiting))
    first = cmr.start(
        *("ablate", grid, "--results", results), cut=cut, CMR_DATA_HOME=str(wikipedia)
    )
    while not waiting.exists():
        time.sleep(0.01)
    second = ablate(cmr, wikipedia, grid, results)
    assert f"process {first.pid} on " in second.error
    assert "choose another --results" in second.error
    grid.write_text("")  # the runs are not needed
    first.kill()
    assert first.wait().code == -9
    waiting.unlink()
    # The lock file still exists, but the lock is free.
    assert (results / ".writer").read_text().startswith(f"process {first.pid} on ")
    grid.write_text(GRID.replace("[0, 1]", "[0]").replace('method = "random"', 'method = "cca"'))
    cut = Cut("cmr_hub.experiments.ablate:planned_cells", "stop")
    assert ablate(cmr, wikipedia, grid, results, cut=cut).code == 130
    assert not (results / ".writer").exists()
