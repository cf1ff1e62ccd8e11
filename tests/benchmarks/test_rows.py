"""Competitors alternate, and only results from a quiet machine are published."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]


def test_turns_leave_out_the_round_that_warms_up(bench, monkeypatch):
    rows = bench("rows")
    monkeypatch.setattr(rows, "TURN_SECONDS", 0.0)
    took = {"ours": iter([9.0, 1.0, 2.0, 4.0]), "peer": iter([9.0, 3.0, 4.0, 20.0])}
    prepared = []
    rivals = {
        name: rows.Rival(
            lambda name=name: rows.Took(next(took[name])),
            against=None if name == "ours" else "ours",
            prepare=lambda name=name: prepared.append(name),
        )
        for name in took
    }
    row = rows.measure("a step", rivals, per=2, turns=3)
    ours, peer = row["rivals"]["ours"], row["rivals"]["peer"]
    assert ours["turns"] == [0.5, 1.0, 2.0]
    assert (ours["seconds"], peer["seconds"]) == (1.0, 2.0)
    assert peer["peer_over_ours"] == 3.0  # the median of 3, 2 and 5
    assert prepared == ["ours", "peer"] * 4


def test_a_turn_is_the_median_of_short_rounds(bench):
    rows = bench("rows")
    took = iter([50.0, *([9.0] * 4 + [1.0] * 5), *([9.0] * 4 + [2.0] * 5)])
    rivals = {"ours": rows.Rival(lambda: rows.Took(next(took)), against=None)}
    row = rows.measure("a step", rivals, turns=2)
    assert row["rivals"]["ours"]["turns"] == [1.0, 2.0]
    assert row["rounds"] == 9


def test_a_figure_that_a_work_returns_is_not_its_time(bench):
    assert bench("rows").seconds(lambda: 9.0) < 1


def test_the_best_setting_is_chosen_after_each_has_warmed_up(bench):
    rows = bench("rows")
    took = {"small": iter([0.0, 4.0, 3.0]), "large": iter([9.0, 2.0, 2.5])}
    settings = {name: lambda name=name: rows.Took(next(took[name])) for name in took}
    assert rows.best(settings, per=2) == ("large", {"small": 1500.0, "large": 1000.0})


def test_a_spread_is_of_the_middle_turns(bench):
    spread = bench("rows").spread
    assert spread([1.0, 1.0, 1.0, 1.0, 50.0]) == 0  # one disturbed turn
    assert spread([0.8, 0.9, 1.0, 1.1, 1.2]) == pytest.approx(0.2)
    assert spread([1.0]) == 0


def test_an_exponent_is_of_the_largest_sizes(bench):
    exponent = bench("rows").exponent
    assert exponent({10: 5.0, 1_000: 1.0, 10_000: 100.0, 100_000: 10_000.0}) == pytest.approx(2)
    assert exponent({1_000: 1.0, 3_000: 3.0}) == pytest.approx(1)


@pytest.mark.parametrize(
    ("load", "spread", "published"), [(0.3, 0.15, True), (0.31, 0.1, False), (0.1, 0.16, False)]
)
def test_a_busy_machine_publishes_nothing(bench, row, tmp_path, load, spread, published):
    rows, path = bench("rows"), tmp_path / "results.json"
    assert rows.keep("step", row(ratio=3.0), path)
    assert rows.keep("step", row(spread, load), path) is published
    kept = rows.read(path)
    assert kept["step"]["rivals"]["peer"]["peer_over_ours"] == (2.0 if published else 3.0)
    assert ("busy" in kept) is not published
    rows.keep("step", row(), path)
    assert "busy" not in rows.read(path)


def test_a_row_is_fresh_until_its_code_or_a_version_changes(bench, row, monkeypatch, tmp_path):
    rows = bench("rows")
    monkeypatch.setattr(rows, "HOME", tmp_path)
    file = tmp_path / "a.py"
    file.write_text('def f():\n    "Add."\n    return 1 + 1\n')
    there = row(code={"files": "a.py", "hash": rows.code(["a.py"])}, versions=rows.versions())
    assert rows.fresh(there)
    assert not rows.fresh({**there, "versions": {}})
    assert not rows.fresh(None)
    file.write_text('def f():\n    """Add two numbers."""\n    return 1 + 1  # two\n')
    assert rows.fresh(there)
    file.write_text('def f():\n    "Add."\n    return 1 + 2\n')
    assert not rows.fresh(there)
    file.unlink()
    assert not rows.fresh(there)


def test_the_files_of_a_row_are_those_that_its_process_imported(bench):
    files = bench("rows").used()
    assert "cmr_hub/atomic.py" in files
    assert set(files) <= set(bench("rows").used(all_of_it=True))


QUICK = """
import sys
sys.argv, sys.path[:0] = ["benchmarks", "quick"], ["benchmarks"]
import json, runpy
import plans, rows
plan = plans.Plan("module", "function", is_quick=True)
plans.PLANS.clear()
plans.PLANS["step"] = plan
rows.LOOK = 0.01
class module:
    def function():
        return json.loads({now!r})
sys.modules["module"] = module
rows.code = lambda files: "c"
rows.read = lambda: {{"step": json.loads({was!r})}}
runpy.run_module("benchmarks", run_name="__main__")
"""


@pytest.mark.parametrize(("now", "code"), [(1.7, 0), (1.5, 1)])
def test_quick_fails_where_a_ratio_is_a_quarter_worse(row, now, code):
    rows = {"was": json.dumps(row(ratio=2.0)), "now": json.dumps(row(ratio=now))}
    done = subprocess.run(
        [sys.executable, "-c", QUICK.format(**rows)],
        cwd=HOME,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert f"peer ÷ ours: 2.00 published, {now:.2f} now" in done.stdout
    assert ("worse by over 25 %: step, peer" in done.stderr) is bool(code)
