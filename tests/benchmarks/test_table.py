"""The documents show what stands in `results/benchmarks.json`, and the table is read right."""

import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def table():
    sys.path.insert(0, str(HOME / "benchmarks"))
    try:
        import table

        yield table
    finally:
        sys.path.remove(str(HOME / "benchmarks"))
        for name in ("table", "comparisons"):
            sys.modules.pop(name, None)


@pytest.mark.parametrize("document", ["README.md", "docs/benchmarks.md", "docs/search-page.md"])
def test_documents_show_what_was_measured(table, document):
    text = (HOME / document).read_text(encoding="utf-8")
    assert table.BLOCK.search(text), "run `python benchmarks/table.py`"
    assert table.written(text, table.read()) == text, "run `python benchmarks/table.py`"


def test_every_comparison_and_limit_was_measured(table):
    rows = table.read()
    for row in (*table.TABLE, *table.LIMITS):
        assert table.found(rows, row.at) is not None, row


def test_a_missed_goal_is_told(table):
    limit = type(table.LIMITS[0])
    rows = {"training": {"one_thread": {"seconds": 0.002, "peer_over_ours": 0.5}}}
    (cells,) = table.lines(rows)
    assert cells[2:5] == ["2.00 ms", "0.50", "≥ 1 MISSED"]
    rows["training"]["one_thread"]["peer_over_ours"] = 1.0
    (cells,) = table.lines(rows)
    assert cells[4] == "≥ 1 met"
    assert limit("x", ("a",), " s", "≤", 2).cells(2.5) == [
        "x",
        "2.5 s",
        "≤ 2 s MISSED",
    ]
    assert limit("x", ("a",), "", "≥", 0.98).cells(0.99)[2] == "≥ 0.98 met"


def test_durations_and_ratios_are_short(table):
    seconds = (0.0000005, 0.00042, 0.0123, 0.5, 1.234, 12.3, 123.4)
    told = ["0.50 µs", "420 µs", "12.3 ms", "500 ms", "1.23 s", "12.3 s", "123 s"]
    assert [table.duration(value) for value in seconds] == told
    assert [table.times(value) for value in (0.834, 11.53, 1234.5)] == ["0.83", "11.5", "1,234"]


def test_blocks_are_written_anew_and_the_rest_is_kept(table):
    text = "a\n<!-- benchmarks: limits -->\nold\n<!-- end -->\nb\n"
    rows = {"page": {"http": {"p95_ms": 275.0}}}
    once = table.written(text, rows)
    assert once.startswith("a\n<!-- benchmarks: limits -->\n")
    assert once.endswith("<!-- end -->\nb\n")
    assert "| page, 50 clients, plain HTTP, p95 | 275 ms | ≤ 500 ms met |" in once
    assert "old" not in once
    assert table.written(once, rows) == once


def test_turns_leave_out_the_round_that_warms_up(monkeypatch):
    monkeypatch.syspath_prepend(str(HOME / "benchmarks"))
    import turns

    took = iter([9.0, 9.0, 1.0, 3.0, 2.0, 4.0, 4.0, 20.0])
    monkeypatch.setattr(turns, "seconds", lambda work: next(took))
    times = turns.turns({"ours": object, "peer": object}, 3)
    assert times == {"ours": (1.0, 2.0, 4.0), "peer": (3.0, 4.0, 20.0)}
    row = turns.beside(times["ours"], times["peer"], "peer", per=2)
    assert row == {"peer": "peer", "seconds": 1.0, "peer_seconds": 2.0, "peer_over_ours": 3.0}


def test_a_busy_machine_is_told(table):
    rows = {
        "training": {"versions": {"cpus": 2}, "load": 2.1},
        "images": {"load": 1.0},
        "tsne": {"load": 9.6},
    }
    said = table.machine(rows)
    assert "2 processors, whose load was from 1.0 to 2.1." in said
    assert "in these: t-SNE of 10,000 points (load 10)." in said
    rows["tsne"]["load"] = 3.0
    assert table.machine(rows).count("\n") == 1
