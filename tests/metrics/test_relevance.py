"""Metrics of items with several labels each, against independent libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pytrec_eval
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from cmr_hub.errors import QueryError
from cmr_hub.metrics import content_based_map, evaluate_retrieval, mean_average_precision
from cmr_hub.metrics.validation import caption_figures, validation_map


@pytest.fixture
def pairs() -> dict[str, Any]:
    random = np.random.default_rng(5)
    labels = (random.random((90, 7)) < 0.2).astype(np.float32)
    centres = random.normal(size=(7, 12))
    images, texts = (labels @ centres + random.normal(size=(90, 12)) for _ in range(2))
    return {"image_embeddings": images, "text_embeddings": texts, "labels": labels}


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    unit_a = a / np.linalg.norm(a, axis=1, keepdims=True)
    found: np.ndarray = unit_a @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
    return found


def test_map_and_ndcg_are_those_of_scikit_learn(pairs: dict[str, Any]) -> None:
    report = evaluate_retrieval(**pairs)
    images, texts, labels = pairs.values()
    shared = labels @ labels.T
    asked = shared.any(axis=1)
    for direction, scores in (
        (report.i2t, cosines(images, texts)),
        (report.t2i, cosines(texts, images)),
    ):
        expected = label_ranking_average_precision_score(shared[asked] > 0, scores[asked])
        assert direction.map == pytest.approx(expected)
        for k in (1, 5, 10):
            assert direction.ndcg[k] == pytest.approx(ndcg_score(shared[asked], scores[asked], k=k))
        assert direction.empty_queries == np.count_nonzero(~asked) > 0
    assert report.relevance == "class"
    assert report.to_dict()["ndcg_i2t"]["10"] == report.i2t.ndcg[10]
    assert "nDCG@10 (shared labels)" in report.table()


def test_figures_are_those_of_trec_eval(pairs: dict[str, Any]) -> None:
    report = evaluate_retrieval(**pairs)
    images, texts, labels = pairs.values()
    shared, scores = (labels @ labels.T).astype(int), cosines(images, texts)
    judged = {str(q): {str(d): int(n) for d, n in enumerate(row)} for q, row in enumerate(shared)}
    run = {str(q): {str(d): float(s) for d, s in enumerate(row)} for q, row in enumerate(scores)}
    oracle = pytrec_eval.RelevanceEvaluator(judged, {"map", "ndcg_cut.5,10", "P.5"}).evaluate(run)
    asked = [str(q) for q in range(90) if shared[q].any()]

    def mean(measure: str) -> float:
        return float(np.mean([oracle[q][measure] for q in asked]))

    assert report.map_i2t == pytest.approx(mean("map"), abs=1e-6)
    assert report.i2t.precision[5] == pytest.approx(mean("P_5"), abs=1e-6)
    for k in (5, 10):
        assert report.i2t.ndcg[k] == pytest.approx(mean(f"ndcg_cut_{k}"), abs=1e-6)


def test_one_label_an_item_is_the_same_in_both_forms(pairs: dict[str, Any]) -> None:
    numbers = np.random.default_rng(6).integers(7, size=90)
    rows = np.eye(7)[numbers]
    single = evaluate_retrieval(**pairs | {"labels": numbers}, predicted_image_labels=numbers)
    several = evaluate_retrieval(**pairs | {"labels": rows}, predicted_image_labels=numbers)
    expected, found = single.to_dict(), several.to_dict()
    for name in ("ndcg_i2t", "ndcg_t2i"):
        del found[name]
    for name in ("per_class_map_i2t", "per_class_map_t2i"):
        assert found.pop(name) == pytest.approx(expected.pop(name))
    assert found == expected
    images, texts = pairs["image_embeddings"], pairs["text_embeddings"]
    owners = np.arange(90)
    assert content_based_map(images, rows) == content_based_map(images, numbers)
    assert validation_map(images, texts, rows) == validation_map(images, texts, numbers)
    assert caption_figures(images, texts, owners, rows) == caption_figures(
        images, texts, owners, numbers
    )


def test_a_class_counts_all_queries_that_have_it(pairs: dict[str, Any]) -> None:
    images, texts, labels = pairs.values()
    found = evaluate_retrieval(**pairs).i2t.per_class_map
    for column in range(7):
        mine = labels[:, column] > 0
        expected = mean_average_precision(images[mine], texts, labels[mine], labels).value
        assert found[str(column)] == pytest.approx(expected)


def test_a_predicted_label_is_right_if_it_is_one_of_them(pairs: dict[str, Any]) -> None:
    labels = pairs["labels"]
    predicted = np.where(labels.any(axis=1), labels.argmax(axis=1), 0)
    report = evaluate_retrieval(**pairs, predicted_text_labels=predicted)
    assert report.text_accuracy == pytest.approx(labels.any(axis=1).mean())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((90, 7), 2), "only 0 and 1"),
        (np.zeros((90, 7, 1)), "got shape"),
        (np.zeros((89, 7)), "expected 90"),
    ],
)
def test_other_labels_are_refused(pairs: dict[str, Any], labels: np.ndarray, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        evaluate_retrieval(**pairs | {"labels": labels})


def test_queries_and_gallery_have_the_same_classes() -> None:
    with pytest.raises(QueryError, match="differ in kind"):
        mean_average_precision(np.eye(2), np.eye(2), np.eye(2), np.ones((2, 3)))
