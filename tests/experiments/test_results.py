from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import lock_descriptor

from cmr_hub.errors import DataNotFoundError, ModelFormatError
from cmr_hub.experiments.results import append_run, read_runs, versions
from cmr_hub.experiments.run_record import RunRecord


def record(**changes: Any) -> dict[str, Any]:
    return {
        "dataset": "pascal-sentence",
        "protocol": "800/200",
        "image_encoder": "mobilenet_v2",
        "text_encoder": "bow",
        "preset": "acmr-paper",
        "objective": {"label": 1.0, "λ": 0.1},
        "seed": 0,
        "epochs": 20,
        "map_i2t": 0.5,
        "map_t2i": 0.25,
        "map_avg": 0.375,
        "map50_avg": 0.5,
        "image_accuracy": 0.75,
        "text_accuracy": None,
        "seconds": 12.5,
        "versions": versions(),
        **changes,
    }


def test_runs_come_back_as_they_went_in(tmp_path: Path) -> None:
    path = tmp_path / "new" / "runs.jsonl"
    runs = [record(seed=0), record(seed=1, note="two\nlines \u2028 \udc80"), record(seed=2)]
    for run in runs:
        append_run(run, path)
    assert path.read_bytes().count(b"\n") == 3
    assert read_runs(path) == ([RunRecord.parse(run) for run in runs], [])


@pytest.mark.parametrize("key", sorted(record()))
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    run = record()
    del run[key]
    with pytest.raises(ModelFormatError, match=f"without {key}"):
        append_run(run, tmp_path / "runs.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"map_i2t": math.nan},
        {"seconds": math.inf},
        {"extra": [{"deep": -math.inf}]},
        {"map_i2t": "0.5"},
        {"seed": np.int64(3)},
        {"seed": True},
        {"epochs": 1.5},
        {"epochs": None},
        {"extra": Path()},
    ],
)
def test_what_is_not_a_run_leaves_the_store_as_it_was(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tmp_path / "runs.jsonl"
    append_run(record(), path)
    before = path.read_bytes()
    with pytest.raises(ModelFormatError, match="not stored"):
        append_run(record(**changes), path)
    assert path.read_bytes() == before


def test_damaged_lines_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    good = json.dumps(record()).encode()
    lines = [
        good,
        b"{not json",
        b"",
        b"[1]",
        b'{"dataset": "x"}',
        good[:-9],
        b"\xff\xfe",
        good.replace(b"12.5", b"NaN"),
        b"[" * 100_000,
        good,
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    records, problems = read_runs(path)
    assert records == [RunRecord.parse(record())] * 2
    for number, problem in zip((2, 4, 5, 6, 7, 8, 9), problems, strict=True):
        assert f"line {number} " in problem


def test_an_unfinished_last_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    append_run(record(seed=0), path)
    append_run(record(seed=1), path)
    path.write_bytes(path.read_bytes()[:-20])
    append_run(record(seed=2), path)
    records, problems = read_runs(path)
    assert [run.seed for run in records] == [0, 2]
    assert len(problems) == 1
    assert "line 2 " in problems[0]


def test_a_last_line_without_newline_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    append_run(record(seed=0), path)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    append_run(record(seed=1), path)
    assert [run.seed for run in read_runs(path)[0]] == [0, 1]


def test_a_writer_waits_for_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    append_run(record(seed=0), path)
    with path.open("ab") as other:
        lock_descriptor(other.fileno())
        writer = threading.Thread(target=append_run, args=(record(seed=1), path))
        writer.start()
        writer.join(timeout=0.2)
        assert writer.is_alive()
        assert path.read_bytes().count(b"\n") == 1
    writer.join(timeout=60)
    assert [run.seed for run in read_runs(path)[0]] == [0, 1]


def test_processes_do_not_interleave(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    (tmp_path / "record.json").write_text(json.dumps(record()))
    # A line far longer than any buffer, from three processes at once.
    script = """
import json, sys
from cmr_hub.experiments.results import append_run
folder, process = sys.argv[1:]
run = json.load(open(folder + "/record.json"))
for seed in range(20):
    append_run({**run, "seed": seed, "process": process, "pad": process * 300_000},
               folder + "/runs.jsonl")
"""
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), process])
        for process in "abc"
    ]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    records, problems = read_runs(path)
    assert problems == []
    for process in "abc":
        mine = [run for run in records if run.process == process]
        assert [run.seed for run in mine] == list(range(20))
        assert all(run.pad == process * 300_000 for run in mine)


def test_a_full_disk_leaves_the_store_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.jsonl"
    append_run(record(), path)
    before = path.read_bytes()

    def fail(_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("cmr_hub.experiments.results.os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        append_run(record(), path)
    assert path.read_bytes() == before


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="no runs are stored"):
        read_runs(tmp_path / "runs.jsonl")
    with pytest.raises(ModelFormatError, match="contains no runs: it is a folder"):
        read_runs(tmp_path)


def test_versions_say_what_was_used_and_import_nothing_heavy() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert {"cmr_hub", "torch", "scikit-learn", "machine", "cpus"} <= set(found)
    script = """
import sys
import cmr_hub.metrics.report
from cmr_hub.experiments.results import versions
versions()
assert not {"torch", "sklearn", "scipy", "faiss"} & set(sys.modules), sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"map_avg": 0.375', '"map_avg": 1e999', "not a finite number"),
        ('"epochs": 20', '"epochs": 1' + "0" * 30, "more than 64 bits"),
        ('"seed": 0', '"seed": 0, "settings": "none"', "settings: "),
        ('"seed": 0', '"seed": 0, "classes": [1]', "classes.0: "),
        ('"seed": 0', '"seed": 0, "pr_curve_i2t": 3', "pr_curve_i2t: "),
        ('"seed": 0', '"seed": 0, "per_class_map_i2t": {"0": "x"}', "per_class_map_i2t.0"),
    ],
)
def test_what_no_run_holds_is_left_out(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "runs.jsonl"
    append_run(record(), path)
    path.write_text(path.read_text().replace(old, new))
    found, problems = read_runs(path)
    assert found == []
    assert message in problems[0]


def test_a_store_that_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataNotFoundError, match="no runs are stored"):
        read_runs(tmp_path / "file" / "runs.jsonl")


ZERO_SHOT = {
    "map_i2t": 0.4,
    "map_t2i": 0.3,
    "map_avg": 0.35,
    "map50_avg": 0.5,
    "image_accuracy": None,
    "text_accuracy": None,
    "recall_i2t": {"1": 0.5},
    "validation_map": 0.3,
}


def test_zero_shot_figures_are_kept_and_older_lines_do_without(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    runs = [record(seed=0), record(seed=1, zero_shot=ZERO_SHOT), record(seed=2, zero_shot=None)]
    for run in runs:
        append_run(run, path)
    assert read_runs(path) == ([RunRecord.parse(run) for run in runs], [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([1], "zero_shot: "),
        ("0.5", "zero_shot: "),
        (ZERO_SHOT | {"map_avg": "0.5"}, r"zero_shot\.map_avg"),
        (ZERO_SHOT | {"recall_i2t": [0.5]}, r"zero_shot\.recall_i2t"),
        ({"map_avg": 0.5}, r"zero_shot\.map_i2t"),
    ],
)
def test_zero_shot_figures_are_checked(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        append_run(record(zero_shot=change), tmp_path / "runs.jsonl")


def test_superseded_runs_stay_in_the_store_and_out_of_the_results(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    append_run(record(seed=0, superseded="its setting was changed, 2026-11-23"), path)
    append_run(record(seed=1), path)
    assert [run.seed for run in read_runs(path)[0]] == [1]
    assert [run.seed for run in read_runs(path, superseded=True)[0]] == [0, 1]


def test_writing_never_changes_a_line_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    for seed in range(3):
        before = path.read_bytes() if path.exists() else b""
        append_run(record(seed=seed), path)
        assert path.read_bytes().startswith(before)
