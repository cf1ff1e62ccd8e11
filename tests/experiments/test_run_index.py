"""The index of a store against `read_runs`, which parses every line on its own."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_records import run_record

from cmr_hub.errors import DataNotFoundError, ModelFormatError
from cmr_hub.experiments import results, run_index
from cmr_hub.experiments.results import append_run, read_runs
from cmr_hub.experiments.run_index import RunIndex, joined

FIGURES = {"map_avg": 0.5, "map_i2t": 0.4, "map_t2i": 0.6, "recall_i2t": {"1": 0.1, "10": 1}}


def line(seed: int = 0, **changed: Any) -> str:
    fields = FIGURES | {"seed": seed, "settings": {"objective": {"label": {}}, "rate": 0.1}}
    return json.dumps(run_record(**fields | changed).to_dict())


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of many chunks; the cache is empty."""
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(results, "CHUNK", 4_000)
    monkeypatch.setattr(run_index, "CHUNK", 4_000)
    path = tmp_path / "runs.jsonl"
    lines = [line(seed, cell=f"{seed:064x}", protocol=f"random-{seed}") for seed in range(300)]
    lines[3] = "{broken"
    lines[120] = ""
    lines[121] = lines[121].replace('"seed": 121', '"seed": "121"')
    lines[200] = line(200, superseded="repeated")
    lines[290] = lines[290][:-5]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the chunks that are parsed, not taken from the cache."""
    sizes: list[int] = []
    index = run_index._indexed

    def indexed(chunk: bytes, *others: Any) -> Any:
        sizes.append(len(chunk))
        return index(chunk, *others)

    monkeypatch.setattr(run_index, "_indexed", indexed)
    return sizes


def check(path: Path, **options: bool) -> RunIndex:
    index = run_index.run_index(path, **options)
    records, problems = read_runs(path, **options)
    assert index.load(np.arange(len(index))) == records
    assert index.problems == problems
    return index


@pytest.mark.parametrize("superseded", [False, True])
def test_the_index_has_the_runs_and_the_problems_of_the_store(
    store: Path, superseded: bool
) -> None:
    for _ in range(2):  # the second time from the cache
        index = check(store, superseded=superseded)
        assert len(index) == 300 - 4 - (not superseded)
        assert [problem.split(" is left out")[0] for problem in index.problems] == [
            f"{store}, line {number}" for number in (4, 122, 291)
        ]
    assert len(list((store.parent / "cache" / "run-index").iterdir())) > 10
    everything = np.arange(len(index))
    assert index.figure("map", "i2t", everything).tolist() == [0.4] * len(index)
    assert index.figure("recall@10", "i2t", everything).tolist() == [1.0] * len(index)
    assert np.isnan(index.figure("recall@10", "avg", everything)).all()
    wanted = [f"{seed:064x}" for seed in (299, 7, 3)]
    assert [record.seed for record in index.of_cells([*wanted, "none"])] == [7, 299]


def test_few_settings_are_remembered(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_index, "_MOST_KNOWN", 2)
    store.write_text("\n".join(line(seed, settings={"rate": seed % 5}) for seed in range(50)))
    check(store)


def test_only_what_is_new_is_parsed(store: Path, parsed: list[int]) -> None:
    check(store)
    assert sum(parsed) == store.stat().st_size
    for seed in (1000, 1001):
        parsed.clear()
        append_run(run_record(seed=seed), store)
        assert check(store).numbers["seed"][-1] == seed
        (last,) = parsed
        assert last < 4_000
    parsed.clear()
    store.write_bytes(store.read_bytes()[:-9])  # a writer was killed
    check(store)
    append_run(run_record(seed=1002), store)
    assert check(store).numbers["seed"].tolist()[-2:] == [1000, 1002]
    assert max(parsed) < 4_000


def test_a_change_of_the_same_size_is_noticed(store: Path) -> None:
    check(store)
    store.write_text(store.read_text().replace('"map_avg": 0.5', '"map_avg": 0.7', 1))
    index = check(store)
    assert index.figure("map", "avg", np.arange(2)).tolist() == [0.7, 0.5]


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_or_missing_cache_costs_only_time(store: Path, damage: bytes | None) -> None:
    home = store.parent / "cache" / "run-index"
    if damage is None:
        home.parent.write_text("a file")
    else:
        check(store)
        for file in home.iterdir():
            file.write_bytes(damage)
    check(store)


def test_a_full_disk_costs_only_time(
    store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(run_index.pq, "write_table", fail)
    check(store)
    assert "the index of the runs is not cached" in caplog.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"rate": 0.1', '"rate": 1e999'),
        ('"rate": 0.1', '"rate": NaN'),
        ('"rate": 0.1', '"rate": -Infinity'),
        ('"rate": 0.1', '"rate": ' + "9" * 30),
        ('"rate": 0.1', '"rate": "\\udc80"'),
        ('"map_avg": 0.5', '"map_avg": 1e999'),
        ('"map_avg": 0.5', '"map_avg": NaN'),
        ('"map_avg": 0.5', '"map_avg": ' + "9" * 30),
        ('"map_avg": 0.5', '"map_avg": true'),
        ('"10": 1', '"10": Infinity'),
        ('"extra": [1]', '"extra": [1e999]'),
        ('"cell": "c"', '"cell": "\\udc80"'),
        ('"before": 1', '"before": 1e999'),
        ('"map50_avg": 0.25', '"map50_avg": 1e999'),
        ('"seed": 1', '"seed": 1' + "0" * 30),
        ('"dataset": "pets"', '"dataset": "pets\t"'),
        ('"dataset"', '"preset": "other", "dataset"'),
        ("}\n", "} {}\n"),
        ("}\n", "}\r\n"),
        ("{", "\ufeff{"),
    ],
)
def test_a_line_is_valid_if_read_runs_says_so(tmp_path: Path, old: str, new: str) -> None:
    """Each odd line follows a valid one of the same settings, whose check is not repeated."""
    path = tmp_path / "runs.jsonl"
    before = dict.fromkeys(("map_i2t", "map_t2i", "map_avg", "image_accuracy", "text_accuracy"))
    zero_shot = before | {"map50_avg": 0.25, "before": 1}
    fields = {"seed": 1, "extra": [1], "cell": "c", "zero_shot": zero_shot}
    good = line(**fields) + "\n"
    assert old in good
    path.write_text(good + good.replace(old, new, 1) + good, encoding="utf-8")
    check(path)


def test_stores_are_joined(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    append_run(run_record(seed=7), other)
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    both = joined(map(run_index.run_index, (store, empty, other)))
    assert both.load(np.array([0, len(both) - 1])) == [read_runs(store)[0][0], run_record(seed=7)]
    assert len(joined([])) == 0


def test_a_store_that_is_rewritten_must_be_read_again(store: Path) -> None:
    index = run_index.run_index(store)
    whole = store.read_bytes()
    store.write_bytes(b"{}\n" + whole)
    with pytest.raises(ModelFormatError, match=r"runs.jsonl cannot be read: .* open it again"):
        index.load(np.array([5]))
    store.write_bytes(whole)
    seed = index.load(np.array([5]))[0].seed
    store.write_bytes(whole.replace(b'"seed": %d' % seed, b'"seed": %d' % (9 - seed)))
    with pytest.raises(ModelFormatError, match="cannot be read: it is another run"):
        index.load(np.array([5]))
    store.unlink()
    with pytest.raises(ModelFormatError, match=r"No such file.* open it again"):
        index.load(np.array([5]))
    with pytest.raises(DataNotFoundError, match="no runs are stored"):
        run_index.run_index(store.parent / "none.jsonl")
