from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from cmr_hub.errors import ModelFormatError
from cmr_hub.experiments.artifacts import (
    TestEmbeddings,
    curve_path,
    keep_embeddings,
    read_curve,
    write_curve,
)

CELL = "0123456789abcdef" * 4


def embeddings(rank: int = 5, dim: int = 40, **changes: object) -> TestEmbeddings:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(12, rank)) @ generator.normal(size=(rank, dim))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    whole = TestEmbeddings(
        images=rows[:6],
        texts=rows[6:],
        labels=np.arange(6) % 3,
        ids=tuple("abcdef"),
        classes=("x", "y", "z"),
        dataset="pascal-sentence",
        protocol="random-{seed}",
        image_encoder="mobilenet_v2",
        text_encoder="bow",
        settings={"name": "acmr-paper", "dim": 40},
        cell=CELL,
        seed=1,
        validation_map=0.5,
    )
    return replace(whole, **changes)


def stored_cell(path: Path) -> str:
    with safe_open(path, framework="numpy") as file:
        return str(file.metadata()["cell"])


def test_a_curve_is_kept_by_phase_and_rounded(tmp_path: Path) -> None:
    history = [
        {"phase": "select", "epoch": 1, "loss": 1.23456, "validation_map": 0.5, "seconds": 3.0},
        {"phase": "select", "epoch": 2, "loss": math.inf, "validation_map": 0.25, "seconds": 3.0},
        {"phase": "final", "epoch": 1, "loss": 12345.6, "seconds": 3.0},
    ]
    write_curve(history, tmp_path, CELL)
    assert curve_path(tmp_path, CELL) == tmp_path / "curves" / "0123456789abcdef.json"
    assert read_curve(tmp_path, CELL) == {
        "select": {"epoch": [1, 2], "loss": [1.235, None], "validation_map": [0.5, 0.25]},
        "final": {"epoch": [1], "loss": [12350.0]},
    }
    assert read_curve(tmp_path, "f" * 64) is None


@pytest.mark.parametrize("content", ["", "[]", '{"select": 3}', '{"select": {"loss": 3}}'])
def test_a_damaged_curve_is_named(tmp_path: Path, content: str) -> None:
    path = curve_path(tmp_path, CELL)
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(ModelFormatError, match=r"0123456789abcdef\.json is not a training curve"):
        read_curve(tmp_path, CELL)


def test_stored_embeddings_keep_the_similarities(tmp_path: Path) -> None:
    given = embeddings()
    assert keep_embeddings(given, tmp_path, set())
    path = tmp_path / "embeddings" / "pascal-sentence-random-acmr-paper.safetensors"
    with safe_open(path, framework="numpy") as file:
        images, texts = file.get_tensor("images"), file.get_tensor("texts")
        labels, facts = file.get_tensor("labels"), file.metadata()
    assert images.shape == texts.shape == (6, 12)
    assert images.dtype == np.float16
    expected = given.images @ given.texts.T
    np.testing.assert_allclose(images.astype(float) @ texts.astype(float).T, expected, atol=3e-3)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert json.loads(facts["ids"]) == list("abcdef")
    assert json.loads(facts["classes"]) == ["x", "y", "z"]
    assert float(facts["kept"]) == 1


def test_many_dimensions_are_cut_to_those_that_matter(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(100, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    wide = embeddings(images=rows[:50], texts=rows[50:], labels=np.zeros(50, dtype=np.int64))
    keep_embeddings(wide, tmp_path, set())
    with safe_open(wide.path(tmp_path), framework="numpy") as file:
        assert file.get_tensor("images").shape == (50, 32)
        kept = float(file.metadata()["kept"])
        found = np.concatenate([file.get_tensor("images"), file.get_tensor("texts")])
    assert kept == pytest.approx(float((found.astype(float) ** 2).sum()) / 100, abs=2e-3)
    assert 0.5 < kept < 0.9


def test_the_best_by_validation_stays(tmp_path: Path) -> None:
    path = embeddings().path(tmp_path)
    runs = {"a": 0.5, "b": 0.7, "c": 0.6}
    kept = [
        keep_embeddings(embeddings(cell=cell, validation_map=figure), tmp_path, set(runs))
        for cell, figure in runs.items()
    ]
    assert kept == [True, True, False]
    assert stored_cell(path) == "b"
    # Equal figures: the smaller seed, in whichever order they come.
    assert keep_embeddings(embeddings(cell="d", validation_map=0.7, seed=0), tmp_path, {"b"})
    assert not keep_embeddings(embeddings(cell="e", validation_map=0.7, seed=2), tmp_path, {"d"})


def test_a_run_out_of_the_store_or_of_an_older_preset_gives_way(tmp_path: Path) -> None:
    keep_embeddings(embeddings(cell="old", validation_map=0.9), tmp_path, set())
    worse = embeddings(cell="new", validation_map=0.1)
    assert not keep_embeddings(worse, tmp_path, {"old"})
    assert keep_embeddings(worse, tmp_path, {"another"})
    changed = embeddings(cell="c", validation_map=0.0, settings={"name": "acmr-paper", "dim": 41})
    assert keep_embeddings(changed, tmp_path, {"new"})


def test_without_validation_the_first_seed_stays_and_damage_is_replaced(tmp_path: Path) -> None:
    path = embeddings().path(tmp_path)
    path.parent.mkdir()
    path.write_bytes(b"no safetensors")
    assert keep_embeddings(embeddings(cell="a", seed=1, validation_map=None), tmp_path, {"a"})
    assert not keep_embeddings(embeddings(cell="b", seed=2, validation_map=None), tmp_path, {"a"})
    assert keep_embeddings(embeddings(cell="c", seed=0, validation_map=None), tmp_path, {"a"})


def test_damaged_facts_of_stored_embeddings_give_way(tmp_path: Path) -> None:
    given = embeddings()
    keep_embeddings(given, tmp_path, set())
    path = given.path(tmp_path)
    whole = path.read_bytes()
    for broken in (whole.replace(b'"0.5"', b'"x.5"'), whole.replace(b'"seed":"1"', b'"seed":"x"')):
        assert broken != whole
        path.write_bytes(broken)
        assert keep_embeddings(given, tmp_path, {CELL})
