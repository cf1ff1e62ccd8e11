"""The documentation shows the results in `results/benchmarks.json`, correctly formatted."""

import json
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/benchmarks.md", "docs/search-page.md", "docs/scale.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_show_what_was_measured(bench, document):
    table, rows = bench("table"), bench("rows")
    text = (HOME / document).read_text(encoding="utf-8")
    assert table.BLOCK.search(text), "run `python -m benchmarks table`"
    assert table.written(text, rows.read()) == text, "run `python -m benchmarks table`"


def test_every_limit_was_measured(bench):
    table, rows = bench("table"), bench("rows").read()
    for limit in table.LIMITS:
        assert table.found(rows, limit[1]) is not None, limit


def test_the_strongest_peer_is_in_bold(bench, row):
    table = bench("table")
    step = row(ratio=0.5)
    step["rivals"]["weak"] = {**step["rivals"]["peer"], "seconds": 1, "peer_over_ours": 500.0}
    told = table.table({"training-one-thread": step})
    assert (
        "| a step (`training-one-thread`) | peer 1.2 (batch 8) "
        "| 2.00 ms (ours (as it comes)) | 1.00 ms | **0.50** |"
    ) in told
    assert "| 1.00 s | 500 |" in told


def test_the_first_look_has_the_strongest_peer(bench, row):
    table = bench("table")
    assert "| a step | peer | 2.00 ms | 2.00 |" in table.speed({"sentence": row()})


def test_a_row_that_is_missing_says_so(bench):
    table = bench("table")
    assert f"| `sentence` | {table.MISSING} |" in table.table({})
    assert f"| `sentence` | {table.MISSING} |" in table.speed({})
    assert table.MISSING in table.machine({})


def test_what_was_tried_is_told(bench, row):
    told = bench("table").tried({"sentence": row()})
    assert "| `sentence` | peer | batch 1: 9; batch 8: 4 |" in told


def test_a_busy_machine_is_told(bench, row):
    told = bench("table").machine({"sentence": row(load=0.21), "busy": {"tsne": {}}})
    assert "a chip, 2 cores, 2 threads, 8 GiB." in told
    assert "at most 21% of a core" in told
    assert "the machine was busy: tsne." in told


@pytest.mark.parametrize(("value", "verdict"), [(275.0, "met"), (301.0, "MISSED")])
def test_blocks_are_written_anew_and_the_rest_is_kept(bench, value, verdict):
    table = bench("table")
    text = "a\n<!-- benchmarks: limits -->\nold\n<!-- end -->\nb\n"
    rows = {"page": {"http": {"p95_ms": value}}}
    once = table.written(text, rows)
    assert once.startswith("a\n<!-- benchmarks: limits -->\n")
    assert once.endswith("<!-- end -->\nb\n")
    assert f"| page, 50 clients, plain HTTP, p95 | {value:g} ms | ≤ 300 ms {verdict} |" in once
    assert "old" not in once
    assert table.written(once, rows) == once


def test_growth_is_told_by_size(bench, tmp_path, monkeypatch):
    table = bench("table")
    monkeypatch.setattr(table, "GROWTH", tmp_path / "growth.json")
    assert table.MISSING in table.growth({})
    tasks = {"search": {"grows": "n", "exponent": 1.013, "seconds": {"1000": 0.001, "3000": 0.003}}}
    table.GROWTH.write_text(json.dumps({"tasks": tasks}))
    assert "| search | n | 1.01 | 1.00 ms | 3.00 ms |" in table.growth({})


def test_durations_and_ratios_are_short(bench):
    table = bench("table")
    seconds = (0.0000005, 0.00042, 0.0123, 0.5, 1.234, 12.3, 123.4)
    told = ["0.50 µs", "420 µs", "12.3 ms", "500 ms", "1.23 s", "12.3 s", "123 s"]
    assert [table.duration(value) for value in seconds] == told
    assert [table.times(value) for value in (0.834, 11.53, 1234.5)] == ["0.83", "11.5", "1,234"]
