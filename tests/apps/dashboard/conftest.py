"""Folders of results in every state, and a model directory with epochs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from cmr_hub.apps.dashboard.navigation import page_file
from cmr_hub.cli.dashboard import SCRIPT
from cmr_hub.experiments.artifacts import TestEmbeddings, keep_embeddings, write_curve
from cmr_hub.experiments.plan import Plan, PlannedRow, PlannedTable
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.space import space_of
from cmr_hub.releases import release_directory
from cmr_hub.training.snapshots import write_snapshots

SEEDS = range(5)
ROWS = {"TF-IDF": "bow", "GloVe": "glove", "LDA": "lda"}
CLASSES = ("cat", "dog", "horse")


def cell(label: str, seed: int) -> str:
    return f"{label.encode().hex():0<15}{seed:049x}"


def record(label: str, seed: int, **changed: Any) -> dict[str, Any]:
    """A run whose figures are those of its label and seed."""
    generator = np.random.default_rng([*label.encode(), seed])
    i2t, t2i = (0.3 + 0.01 * len(label) + 0.02 * generator.normal(size=2)).tolist()
    by_class = {str(n): i2t for n in range(3)}
    return {
        "dataset": "pets",
        "protocol": "800/200",
        "image_encoder": "compact",
        "text_encoder": ROWS.get(label, "bow"),
        "preset": "acmr-paper",
        "objective": "1 label + 1 triplet",
        "settings": {"objective": {"label": {}, "triplet": {}}, "learning_rate": 0.001},
        "seed": seed,
        "epochs": 3,
        "seconds": 1.5,
        "finished": f"2026-01-0{seed + 1}T00:00:00+00:00",
        "relevance": "class",
        "map50_denominator": "relevant",
        "classes": list(CLASSES),
        "map_i2t": i2t,
        "map_t2i": t2i,
        "map_avg": (i2t + t2i) / 2,
        "map50_i2t": i2t / 2,
        "map50_t2i": t2i / 2,
        "map50_avg": (i2t + t2i) / 4,
        "recall_i2t": {"1": 0.1, "5": 0.5, "10": 0.7},
        "recall_t2i": {"1": 0.2, "5": 0.6, "10": 0.8},
        "precision_i2t": {"1": 0.3, "5": 0.2, "10": 0.1},
        "precision_t2i": {"1": 0.3, "5": 0.2, "10": 0.1},
        "per_class_map_i2t": by_class,
        "per_class_map_t2i": by_class,
        "pr_recall": [0.0, 0.5, 1.0],
        "pr_curve_i2t": [1.0, i2t, 0.1],
        "pr_curve_t2i": [0.9, t2i, 0.1],
        "image_accuracy": 0.5,
        "text_accuracy": 0.6,
        "versions": {"cmr_hub": "0"},
        "cell": cell(label, seed),
    } | changed


def write_runs(results: Path, records: Iterable[dict[str, Any]], *lines: str) -> None:
    results.mkdir(parents=True, exist_ok=True)
    text = [json.dumps(one) for one in records]
    (results / "runs.jsonl").write_text("\n".join([*text, *lines]) + "\n")


def write_study(results: Path) -> None:
    """A table of three rows and five seeds, with curves and the embeddings of two runs."""
    rows = tuple(
        PlannedRow(
            label=label,
            dataset="pets",
            protocol="800/200",
            image_encoder="compact",
            text_encoder=texts,
            method="acmr-paper",
            published=("study-2019-bow",) if label == "TF-IDF" else (),
            cells={seed: cell(label, seed) for seed in SEEDS},
        )
        for label, texts in ROWS.items()
    )
    table = PlannedTable(
        id="text-features",
        title="Text features",
        reference="TF-IDF",
        published=("jfse",),
        rows=rows,
    )
    Plan(name="study", title="The 2019 study", tables=(table,)).save(results)
    write_runs(results, [record(label, seed) for label in ROWS for seed in SEEDS])
    for label in ROWS:
        for seed in SEEDS:
            history = [
                {
                    "phase": phase,
                    "epoch": epoch,
                    "loss": 3.0 / epoch,
                    "label": 1.0 / epoch,
                    "adversarial/modality_accuracy": 0.5,
                    "adversarial/lambda": epoch / 10,
                    **({"validation_map": epoch / 10} if phase == "select" else {}),
                }
                for phase in ("select", "final")
                for epoch in (1, 2, 3)
            ]
            write_curve(history, results, cell(label, seed))
    generator = np.random.default_rng(0)
    for name in ("tiny", "other"):
        both = generator.normal(size=(2, 30, 6))
        both[:, np.arange(30), np.arange(30) % 3] += 3
        both /= np.linalg.norm(both, axis=2, keepdims=True)
        images, texts = both.astype(np.float32)
        kept = TestEmbeddings(
            images=images,
            texts=texts,
            labels=np.arange(30) % 3,
            ids=tuple(f"item-{n:02}" for n in range(30)),
            classes=CLASSES,
            dataset="pets",
            protocol="800/200",
            image_encoder="compact",
            text_encoder="bow",
            settings={"name": name},
            cell=cell("TF-IDF", 0),
            seed=0,
            validation_map=0.5,
        )
        keep_embeddings(kept, results, [kept.cell])


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results to look at; tests leave them as they are."""
    results = tmp_path_factory.mktemp("study") / "results"
    write_study(results)
    return results


@pytest.fixture(scope="session")
def sketches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded release's model with two epochs before it."""
    directory = tmp_path_factory.mktemp("models") / "sketches"
    shutil.copytree(release_directory("sketch"), directory)
    store = LocalStore.open(directory / "gallery", root=directory / "pictures")
    space = space_of(store)
    ids = [space.items[int(row)].id for row in space.image_rows]
    random = np.random.default_rng(0).normal(size=(2, *space.images.shape))
    before = tuple((random / np.linalg.norm(random, axis=2, keepdims=True)).astype(np.float32))
    stages = {0: before, 2: (space.images, before[1]), 9: (space.images, space.texts)}
    write_snapshots(directory / "snapshots.safetensors", ids, stages)
    return directory


@pytest.fixture
def visit_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens a page over a folder of results; further options are those of the command line."""
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CMR_DATA_HOME", raising=False)
    st.cache_resource.clear()

    def visit(name: str, results: Path, *options: str, **query: str | list[str]) -> AppTest:
        monkeypatch.setattr("sys.argv", ["app.py", "--results", str(results), *options])
        app = AppTest.from_file(str(SCRIPT), default_timeout=60).run()
        for key, value in query.items():
            app.query_params[key] = value
        file = page_file(name).relative_to(SCRIPT.parent)
        return app.switch_page(file.as_posix()).run()

    return visit
