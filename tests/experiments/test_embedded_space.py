from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from sklearn.metrics import average_precision_score, silhouette_score

from cmr_hub.errors import ModelFormatError, QueryError
from cmr_hub.experiments.artifacts import TestEmbeddings, keep_embeddings
from cmr_hub.experiments.space import (
    Space,
    SpaceItem,
    answers,
    pair_losses,
    ranking,
)
from cmr_hub.experiments.stored_space import read_stored_space, stored_spaces
from cmr_hub.metrics.common_space import modality_gap, silhouette
from cmr_hub.metrics.report import evaluate_retrieval


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def space(count: int = 30, classes: int = 3) -> Space:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(classes, 6))
    labels = np.arange(count) % classes
    images, texts = (
        unit(centres[labels] + 0.8 * generator.normal(size=(count, 6))) for _ in range(2)
    )
    items = tuple(SpaceItem(f"{i}", f"class {label}") for i, label in enumerate(labels))
    rows = np.arange(count)
    return Space(images, texts, rows, rows, items)


def test_answers_are_the_evaluations() -> None:
    shown = space()
    report = evaluate_retrieval(shown.images, shown.texts, shown.labels)
    for way in ("i2t", "t2i"):
        found = answers(shown, way, depth=5)
        expected = getattr(report, way)
        assert found.map == pytest.approx(expected.map)
        assert found.first.mean() == pytest.approx(expected.precision[1])
        assert found.confusion is not None
        assert found.confusion.sum(1) == pytest.approx(np.ones(3))
        assert np.trace(found.confusion) / 3 == pytest.approx(expected.precision[5])
        worst = found.worst_first()
        assert (np.diff(found.ap[worst]) >= 0).all()


def test_a_ranking_is_scikit_learns() -> None:
    shown = space()
    for query in (0, 7, 29):
        result = ranking(shown, "i2t", query)
        scores = shown.texts @ shown.images[query]
        relevant = shown.labels == shown.labels[query]
        assert result.ap == pytest.approx(average_precision_score(relevant, scores), abs=1e-6)
        assert (np.diff(result.scores) <= 1e-9).all()
        assert (result.hits == relevant[result.order]).all()
    with pytest.raises(QueryError, match="no query 30"):
        ranking(shown, "i2t", 30)


def test_without_classes_only_the_partner_answers() -> None:
    shown = space()
    items = tuple(SpaceItem(item.id) for item in shown.items)
    bare = Space(shown.images, shown.texts, shown.image_rows, shown.text_rows, items)
    found = answers(bare, "t2i")
    assert found.confusion is None
    assert ranking(bare, "t2i", 3).hits.sum() == 1
    report = evaluate_retrieval(shown.images, shown.texts, None)
    assert found.map == pytest.approx(report.t2i.map)


def test_one_modality_cannot_be_asked_across() -> None:
    shown = space()
    none = np.empty((0, 6), np.float32)
    images = Space(shown.images, none, shown.image_rows, np.empty(0, np.int64), shown.items)
    assert len(images.pairs) == 0
    assert np.isnan(pair_losses(images)).all()
    with pytest.raises(QueryError, match="only one modality"):
        answers(images, "i2t")


def test_gap_and_pair_losses_are_plain_loops() -> None:
    shown = space()
    centre = np.mean(shown.images, 0) - np.mean(shown.texts, 0)
    assert modality_gap(shown.images, shown.texts) == pytest.approx(np.sqrt((centre**2).sum()))
    assert modality_gap(shown.images, shown.images) == 0
    losses = [1 - float(v @ w) for v, w in zip(shown.images, shown.texts, strict=True)]
    assert pair_losses(shown) == pytest.approx(losses * 2, abs=1e-6)


def test_the_silhouette_is_scikit_learns() -> None:
    shown = space(31, 4)
    vectors, labels = shown.vectors(), shown.labels[shown.rows]
    expected = silhouette_score(vectors.astype(np.float64), labels, metric="cosine")
    assert silhouette(vectors, labels) == pytest.approx(expected, abs=1e-6)
    alone = np.array([0, 1, 1, 1])
    rows = unit(np.random.default_rng(1).normal(size=(4, 3)))
    assert silhouette(rows, alone) == pytest.approx(
        silhouette_score(rows, alone, metric="cosine"), abs=1e-6
    )
    assert silhouette(np.concatenate([rows, rows]), [*alone, *([-1] * 4)]) == pytest.approx(
        silhouette(rows, alone)
    )
    assert silhouette(rows, [0, 0, 0, 0]) is None


def test_stages_are_other_places_of_the_same_items() -> None:
    shown = space()
    before = Space(
        shown.images,
        shown.texts,
        shown.image_rows,
        shown.text_rows,
        shown.items,
        {0: (shown.texts, shown.images)},
        epoch=4,
    )
    assert (before.at(0).images == shown.texts).all()
    assert before.at(4) is before


def test_stored_embeddings_are_read_back(tmp_path: Path) -> None:
    shown = space()
    kept = TestEmbeddings(
        images=shown.images,
        texts=shown.texts,
        labels=shown.labels,
        ids=tuple(item.id for item in shown.items),
        classes=("class 0", "class 1", "class 2"),
        dataset="pets",
        protocol="random-{seed}",
        image_encoder="compact",
        text_encoder="bow",
        settings={"name": "tiny"},
        cell="c",
        seed=3,
        validation_map=0.5,
    )
    keep_embeddings(kept, tmp_path, ["c"])
    (stored,), problems = stored_spaces(tmp_path)
    assert problems == []
    assert stored.split == "random-3"
    known = {"2": SpaceItem("2", "class 2", Path("2.jpg"), ("a dog",))}
    found = read_stored_space(stored, known)
    assert found.items[2].sentences == ("a dog",)
    assert found.items[4] == SpaceItem("4", "class 1")
    assert found.kept == pytest.approx(1, abs=1e-3)
    assert found.images @ found.texts.T == pytest.approx(shown.images @ shown.texts.T, abs=5e-3)
    stored.path.write_bytes(stored.path.read_bytes()[:-50])
    with pytest.raises(ModelFormatError, match="contains no embeddings"):
        read_stored_space(stored)
    found_now, problems = stored_spaces(tmp_path)
    assert found_now == []
    assert "is left out" in problems[0]


@pytest.mark.parametrize(
    ("name", "value"), [("ids", "3"), ("ids", "[1, 2, 3]"), ("classes", "[" * 100_000)]
)
def test_names_that_are_no_names_are_refused(tmp_path, name: str, value: str) -> None:
    rows = np.eye(3, dtype=np.float16)
    facts = dict.fromkeys(
        ("dataset", "protocol", "preset", "image_encoder", "text_encoder", "cell"), "x"
    )
    facts |= {"seed": "1", "kept": "1", "ids": '["a", "b", "c"]', "classes": '["x"]'}
    path = tmp_path / "embeddings" / "x.safetensors"
    path.parent.mkdir()
    tensors = {"images": rows, "texts": rows, "labels": np.zeros(3, np.int16)}
    path.write_bytes(save(tensors, facts | {name: value}))
    (stored,), _ = stored_spaces(tmp_path)
    with pytest.raises(ModelFormatError, match="contains no embeddings"):
        read_stored_space(stored)
