"""Whatever lies in a folder of results: a value or a CMRError; see `damage.attack`."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from damage import Target, as_json, attack, contract, damaged, files_of, read_whole
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from cmr_hub.cli.options import named_options
from cmr_hub.experiments.acmr_log import parse_acmr_log
from cmr_hub.experiments.artifacts import TestEmbeddings, keep_embeddings
from cmr_hub.experiments.changes import changes as changes_since
from cmr_hub.experiments.curves import model_curves, running_curves, stored_curves
from cmr_hub.experiments.grid import read_grid
from cmr_hub.experiments.plan import Plan
from cmr_hub.experiments.results import append_run, read_runs
from cmr_hub.experiments.run_groups import grouped
from cmr_hub.experiments.run_index import run_index
from cmr_hub.experiments.stored_space import read_stored_space, stored_spaces
from cmr_hub.projections.jobs import MapInput, _read_map
from cmr_hub.training.checkpoint import Progress, read_checkpoint, write_checkpoint
from cmr_hub.training.snapshots import read_snapshots, write_snapshots

CELL = "0123456789abcdef" * 4
RECORD: dict[str, Any] = {
    "dataset": "pascal-sentence",
    "protocol": "800/200",
    "image_encoder": "mobilenet_v2",
    "text_encoder": "bow",
    "preset": "acmr-paper",
    "objective": {"label": {"weight": 1.0}},
    "seed": 0,
    "epochs": 20,
    **dict.fromkeys(("map_i2t", "map_t2i", "map_avg", "map50_avg"), 0.5),
    **dict.fromkeys(("image_accuracy", "text_accuracy"), 0.75),
    "seconds": 12.5,
    "versions": {"cmr_hub": "1"},
    "cell": CELL,
    "settings": {"name": "acmr-paper", "learning_rate": 1e-4},
}
CURVE = {"select": {"epoch": [1, 2], "loss": [1.5, None]}, "final": {"loss": [0.5]}}
HISTORY = [{"phase": "select", "epoch": 1, "loss": 1.5}, {"phase": "final", "epoch": 1, "loss": 1}]
LOG = (
    "Epoch: [ 1][ 5/33] time: 1.25, emb_loss: 3067.69, domain_loss: 1.84, Label_loss: 4.94, "
    "triplet_loss: 2573.6, 322.9, 323.0, 322.9, 332.75\nother\n"
) * 2
GRID = """
name = "g"
title = "G"
seeds = [3, 5]
[defaults]
dataset = "pascal-sentence"
protocol = "random-{seed}"
image_encoder = "mobilenet_v2"
text_encoder = { name = "bow", min_df = 2 }
method = { name = "acmr-paper", dim = 40, dropout = [0.1, 0.2] }
[[tables]]
id = "t"
title = "T"
reference = "a"
rows = [{ label = "a" }, { label = "b", method = "cca", published = ["study-2019"] }]
"""
ROWS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def made(write: Callable[[Path], object]) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        write(Path(folder))
        return files_of(Path(folder))


def json_lines(value: Any) -> bytes:
    return b"\n".join(map(as_json, value)) if isinstance(value, list) else as_json(value)


def of_runs() -> Target:
    def read(folder: Path) -> None:
        records, problems = read_runs(folder / "runs.jsonl")
        assert all(problems)
        index = run_index(folder / "runs.jsonl")
        assert (index.problems, index.load(np.arange(len(index)))) == (problems, records)
        grouped(index)
        for record in records:
            for curve in stored_curves(folder, record):
                assert all(len(c) == len(curve.epochs) for c in curve.columns.values())

    files = made(lambda folder: [append_run(RECORD, folder / "runs.jsonl") for _ in range(2)])
    files["curves/0123456789abcdef.json"] = as_json(CURVE)
    changes = {
        "runs.jsonl": ([RECORD, RECORD], json_lines),
        "curves/0123456789abcdef.json": (CURVE, as_json),
    }
    return Target(files, read, changes)


def of_history() -> Target:
    files = {"history.json": as_json(HISTORY)}
    return Target(files, model_curves, {"history.json": (HISTORY, as_json)})


def of_plan() -> Target:
    table = {"id": "t", "title": "T", "reference": "a", "published": [], "rows": []}
    names = ("label", "dataset", "protocol", "image_encoder", "text_encoder", "method")
    row = dict.fromkeys(names, "a")
    table["rows"] = [{**row, "published": ["x"], "cells": {"3": CELL}}]
    plan = {"name": "g", "title": "G", "tables": [table]}
    files = {"g.json": as_json(plan)}
    return Target(files, lambda folder: Plan.load(folder / "g.json"), {"g.json": (plan, as_json)})


def as_toml(value: Any) -> bytes:
    """As TOML where it can be: of a value that it has no word for something else is made."""
    if not isinstance(value, dict):
        return f"x = {_toml(value)}".encode(errors="replace")
    return "\n".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()).encode(
        errors="replace"
    )


def _toml(value: Any) -> str:
    match value:
        case dict():
            pairs = (f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items())
            return f"{{ {', '.join(pairs)} }}"
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case float() | int():
            return repr(value)
    return '""'


def of_grid() -> Target:
    changes = {"g.toml": (tomllib.loads(GRID), as_toml)}
    return Target({"g.toml": GRID.encode()}, lambda folder: read_grid(folder / "g.toml"), changes)


def of_log() -> Target:
    def read(folder: Path) -> None:
        curve, problems = parse_acmr_log((folder / "log").read_bytes().decode("latin-1"))
        assert (curve is not None) or problems
        if curve is not None:
            assert all(len(column) == len(curve.epochs) for column in curve.columns.values())

    return Target({"log": LOG.encode()}, read)


def embeddings() -> TestEmbeddings:
    return TestEmbeddings(
        images=ROWS,
        texts=-ROWS,
        labels=np.arange(3),
        ids=("a", "b", "c"),
        classes=("x", "y", "z"),
        dataset="pascal-sentence",
        protocol="800/200",
        image_encoder="mobilenet_v2",
        text_encoder="bow",
        settings={"name": "acmr-paper"},
        cell=CELL,
        seed=1,
        validation_map=0.5,
    )


def of_embeddings() -> Target:
    def read(folder: Path) -> None:
        found, problems = stored_spaces(folder)
        assert len(found) + len(problems) == 1
        for stored in found:
            space = read_stored_space(stored)
            assert len(space.items) == len(space.images) == len(space.texts)
            space.labels  # noqa: B018
        keep_embeddings(embeddings(), folder, {CELL})

    files = made(lambda folder: keep_embeddings(embeddings(), folder, set()))
    (name,) = files
    return Target(files, read, {name: (header_of(files[name]), with_header(files[name]))})


def header_of(file: bytes) -> Any:
    return json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])


def with_header(file: bytes) -> Callable[[Any], bytes]:
    rest = file[8 + int.from_bytes(file[:8], "little") :]

    def write(header: Any) -> bytes:
        text = as_json(header)
        return len(text).to_bytes(8, "little") + text + rest

    return write


def of_table() -> Target:
    file = io.StringIO()
    writer = csv.DictWriter(file, ["row", "n_seeds", "map_avg_mean"])
    writer.writeheader()
    writer.writerow({"row": "a", "n_seeds": 5, "map_avg_mean": 0.5})
    table = SimpleNamespace(
        measure=SimpleNamespace(compared="map_avg"),
        table=SimpleNamespace(id="t", title="T"),
        rows=[SimpleNamespace(row=SimpleNamespace(label="a"), n=5, mean=lambda name: 0.5)],
    )
    return Target({"t.csv": file.getvalue().encode()}, lambda folder: changes_since(table, folder))


def of_checkpoint() -> Target:
    import torch

    progress = Progress(1, HISTORY, 1, 0.5)
    files = made(
        lambda folder: write_checkpoint(
            folder / "select.safetensors", "key", progress, {"w": torch.ones(2, 3)}
        )
    )
    (name,) = files

    def read(folder: Path) -> None:
        running_curves(folder)
        found = read_checkpoint(folder / name, "key")
        assert found is not None

    return Target(files, read, {name: (header_of(files[name]), with_header(files[name]))})


def of_snapshots() -> Target:
    files = made(
        lambda folder: write_snapshots(
            folder / "s.safetensors", ["a", "b", "c"], {0: (ROWS, ROWS), 1: (ROWS, -ROWS)}
        )
    )

    def read(folder: Path) -> None:
        ids, stages = read_snapshots(folder / "s.safetensors")
        assert all(len(rows) == len(ids) for pair in stages.values() for rows in pair)

    changes = {"s.safetensors": (header_of(files["s.safetensors"]), with_header(*files.values()))}
    return Target(files, read, changes)


def of_map() -> Target:
    content = save({"0000": ROWS[:, :2].copy(), "0001": ROWS[:, 2:].copy()})
    given = MapInput([ROWS, ROWS])

    def read(folder: Path) -> None:
        found = _read_map(folder / "m.safetensors", given)
        assert found is None or [len(rows) for rows in found] == [3, 3]

    changes = {"m.safetensors": (header_of(content), with_header(content))}
    return Target({"m.safetensors": content}, read, changes)


TARGETS: dict[str, Callable[[], Target]] = {
    "runs and curves": of_runs,
    "history": of_history,
    "plan": of_plan,
    "grid": of_grid,
    "log": of_log,
    "embeddings": of_embeddings,
    "table": of_table,
    "checkpoint": of_checkpoint,
    "snapshots": of_snapshots,
    "map": of_map,
}


@cache
def target(name: str) -> Target:
    return TARGETS[name]()


@pytest.mark.parametrize("name", TARGETS)
def test_whole_files_are_read(name: str) -> None:
    read_whole(target(name))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_any_bytes(name: str, data: st.DataObject) -> None:
    attack(target(name), data)


@given(damaged(b"min_df=2"))
def test_any_option(pair: bytes) -> None:
    with contract():
        named_options([pair.decode("latin-1")])
