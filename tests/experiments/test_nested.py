"""Nested selection: settings are chosen without the test part, and stored with what was tried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.errors import CMRError
from cmr_hub.experiments.ablate import run_grid
from cmr_hub.experiments.grid import read_grid
from cmr_hub.experiments.nested import choose
from cmr_hub.experiments.plan import make_plan
from cmr_hub.experiments.report import write_report
from cmr_hub.experiments.results import read_runs
from cmr_hub.experiments.run import run_experiment
from cmr_hub.experiments.run_groups import grouped
from cmr_hub.experiments.run_index import run_index
from cmr_hub.experiments.run_record import RunRecord
from cmr_hub.experiments.workers import load_cell_dataset
from cmr_hub.training.presets import PRESETS

RATES = (1e-6, 1e-2)
NESTED = """
[nested]
title = "Nested"
seeds = [3, 4]
[[nested.tables]]
id = "small-nested"
title = "Small, nested"
reference = "CCA"
defaults = { protocol = "2173/693", candidates = {} }
[[nested.tables.rows]]
label = "CCA"
method = "cca"
[[nested.tables.rows]]
label = "net"
candidates = { learning_rate = [1e-6, 1e-2] }
"""


@pytest.fixture
def grid_file(small_grid: Path, synthetic_home: Path) -> Path:
    small_grid.write_text(small_grid.read_text() + NESTED)
    return small_grid


@pytest.fixture
def results(grid_file: Path, tmp_path: Path) -> Path:
    home = tmp_path / "results"
    assert run_grid(read_grid(grid_file, nested=True), home, workers=1).failures == []
    return home


def runs(results: Path) -> dict[tuple[str, int], RunRecord]:
    return {(run.preset, run.seed): run for run in read_runs(results / "runs.jsonl")[0]}


def test_runs_say_what_was_scored_and_are_not_run_twice(grid_file: Path, results: Path) -> None:
    found = runs(results)
    assert len(found) == 4
    for (preset, _), run in found.items():
        scored = run.nested["candidates"]
        scores = [one["validation_map"] for one in scored]
        assert scores[run.nested["chosen"]] == max(scores)
        assert run.nested["seconds"] > 0
        assert scored[run.nested["chosen"]]["settings"] == run.settings
        if preset == "acmr-paper":
            assert [one["settings"]["learning_rate"] for one in scored] == [*RATES]
            assert run.settings["learning_rate"] == 1e-2
            assert run.validation_map == max(scores)
    assert run_grid(read_grid(grid_file, nested=True), results, workers=1).found == 4


def test_the_chosen_settings_give_what_they_give_alone(grid_file: Path, results: Path) -> None:
    """The training that was scored is resumed, not repeated; its result is the same."""
    cell = next(
        cell
        for cell in make_plan(read_grid(grid_file, nested=True), {})[1].values()
        if cell.seed == 3 and cell.settings.candidates
    )
    run = runs(results)["acmr-paper", 3]
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in run.settings.items()}
    alone = run_experiment(
        load_cell_dataset(cell), replace(PRESETS["acmr-paper"], **options), 3
    ).record
    assert (alone.map_i2t, alone.epochs) == (run.map_i2t, run.epochs)


def test_nothing_of_the_test_part_is_seen(grid_file: Path, tmp_path: Path) -> None:
    """What is chosen, and every score, is the same when the test part is poisoned."""
    cell = next(iter(make_plan(read_grid(grid_file, nested=True), {})[1].values()))
    dataset = load_cell_dataset(cell)
    is_test = dataset.splits == "test"
    poisoned = replace(
        dataset,
        labels=np.where(is_test, 0, dataset.labels),
        image_features=np.where(is_test[:, None], np.nan, dataset.image_features),
        text_features=np.where(is_test[:, None], np.nan, dataset.text_features),
    )
    quick = replace(PRESETS["acmr-paper"], epochs=2, dim=4, image_hidden=(8,), text_hidden=(8,))
    candidates = [replace(quick, learning_rate=rate) for rate in RATES]
    found = [
        choose(data, candidates, 0, FeatureCache(), tmp_path / name)
        for name, data in (("clean", dataset), ("poisoned", poisoned))
    ]
    for _, fields in found:
        del fields["seconds"]
    assert found[0] == found[1]


def test_its_tables_leave_the_others_as_they_are(grid_file: Path, results: Path) -> None:
    plain, nested = read_grid(grid_file), read_grid(grid_file, nested=True)
    assert (plain.name, nested.name) == ("small", "small-nested")
    assert {table.id for table in plain.tables}.isdisjoint(table.id for table in nested.tables)
    run_grid(plain, results, workers=1)
    assert len(runs(results)) == 4 + 6 - 2  # "all" is "small net"
    text = write_report(results).read_text()
    assert "### Small, nested" in text
    assert (results / "small-nested.csv").exists()
    # One group a method, whatever was chosen, and none with runs that are not nested.
    found = grouped(run_index(results / "runs.jsonl"))
    groups = [group for group in found if "nested" in group.settings]
    assert sorted((group.factors["method"], group.n) for group in groups) == [
        ("acmr-paper", 2),
        ("cca", 2),
    ]


def test_the_report_says_how_to_run_what_is_not_run(grid_file: Path, tmp_path: Path) -> None:
    for nested in (False, True):
        make_plan(read_grid(grid_file, nested=nested), {})[0].save(tmp_path)
    (tmp_path / "runs.jsonl").touch()
    text = write_report(tmp_path).read_text()
    for options in ("", " --nested"):
        assert f"Not run here: `cmr ablate grids/small.toml{options}` fills these rows." in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("candidates = { learning_rate = [1e-6, 1e-2] }", ""), "a preset needs candidates"),
        (('method = "cca"', 'method = "cca"\ncandidates = { dim = [4] }'), "searches its own"),
        (("learning_rate = [1e-6", "learning_rat = [1e-6"), "learning_rate"),
        (("[1e-6, 1e-2]", "[1e-6, true]"), "must be like"),
        ((NESTED, ""), r"no \[nested\]"),
    ],
)
def test_a_mistake_in_the_nested_part_is_named(grid_file: Path, change, message: str) -> None:
    grid_file.write_text(grid_file.read_text().replace(*change))
    with pytest.raises(CMRError, match=message):
        read_grid(grid_file, nested=True)
