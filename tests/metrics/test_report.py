from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cmr_hub.errors import QueryError
from cmr_hub.metrics.report import evaluate_retrieval
from cmr_hub.metrics.retrieval import mean_average_precision


@pytest.fixture
def pairs() -> dict[str, Any]:
    random = np.random.default_rng(11)
    labels = random.integers(5, size=120)
    centres = random.normal(size=(5, 16))
    return {
        "image_embeddings": centres[labels] + random.normal(size=(120, 16)),
        "text_embeddings": centres[labels] + random.normal(size=(120, 16)),
        "labels": labels,
    }


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    unit_a = a / np.linalg.norm(a, axis=1, keepdims=True)
    return unit_a @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T


def test_every_figure_against_loops(pairs: dict[str, Any]) -> None:
    report = evaluate_retrieval(**pairs)
    images, texts, labels = pairs.values()
    for direction, scores, a, b in (
        (report.i2t, cosines(images, texts), images, texts),
        (report.t2i, cosines(texts, images), texts, images),
    ):
        assert direction.map == mean_average_precision(a, b, labels, labels).value
        assert direction.map50 == mean_average_precision(a, b, labels, labels, k=50).value
        own_rank = [int(np.sum(row > row[i])) + 1 for i, row in enumerate(scores)]
        order = np.argsort(-scores, axis=1)
        for k in (1, 5, 10):
            assert direction.recall[k] == pytest.approx(np.mean([rank <= k for rank in own_rank]))
            right = [np.mean(labels[row[:k]] == labels[i]) for i, row in enumerate(order)]
            assert direction.precision[k] == pytest.approx(np.mean(right))
        for label in range(5):
            mine = labels == label
            assert direction.per_class_map[str(label)] == pytest.approx(
                mean_average_precision(a[mine], b, labels[mine], labels).value
            )
        assert len(direction.pr_curve) == 11
        assert list(direction.pr_curve) == sorted(direction.pr_curve, reverse=True)
        assert direction.pr_curve[-1] > 0.2  # all found: at least the share of the class
        assert (direction.n_queries, direction.empty_queries) == (120, 0)
    assert report.map_avg == pytest.approx((report.map_i2t + report.map_t2i) / 2)
    assert report.map50_avg == pytest.approx((report.map50_i2t + report.map50_t2i) / 2)
    assert report.map50_denominator == "relevant"
    assert report.image_accuracy is None


def test_the_denominator_of_map50_is_said_and_used(pairs: dict[str, Any]) -> None:
    report = evaluate_retrieval(**pairs, map50_denominator="hits")
    images, texts, labels = pairs.values()
    expected = mean_average_precision(images, texts, labels, labels, k=50, denominator="hits")
    assert report.map50_i2t == expected.value
    assert report.to_dict()["map50_denominator"] == "hits"
    assert "divided by hits" in report.table()


def test_several_texts_to_an_image() -> None:
    random = np.random.default_rng(12)
    images = random.normal(size=(30, 8))
    owner = random.permutation(np.repeat(np.arange(30), 5))
    texts = images[owner] + 1.2 * random.normal(size=(150, 8))
    report = evaluate_retrieval(images, texts, None, text_owner=owner)
    scores = cosines(images, texts)
    for k in (1, 5, 10):
        first = [
            any(owner[text] == image for text in np.argsort(-scores[image])[:k])
            for image in range(30)
        ]
        assert report.i2t.recall[k] == pytest.approx(np.mean(first))
        back = [owner[text] in np.argsort(-scores[:, text])[:k] for text in range(150)]
        assert report.t2i.recall[k] == pytest.approx(np.mean(back))
    assert 0.2 < report.i2t.recall[1] < 1
    assert report.relevance == "pair"
    assert report.i2t.per_class_map == {}
    assert (report.i2t.n_queries, report.t2i.n_queries) == (30, 150)
    assert report.map_t2i == mean_average_precision(texts, images, owner, np.arange(30)).value


def test_an_image_without_text_is_counted_and_left_out() -> None:
    images, owner = np.eye(4), np.array([0, 1, 1])
    report = evaluate_retrieval(images, images[owner], None, text_owner=owner)
    assert report.i2t.empty_queries == 2
    assert report.i2t.map == report.i2t.recall[1] == report.t2i.map == 1
    assert "without answer" in report.table()


def test_labels_may_be_names(pairs: dict[str, Any]) -> None:
    names = np.array(["bus", "cat", "dog", "cow", "tree"])[pairs["labels"]]
    report = evaluate_retrieval(**{**pairs, "labels": names})
    assert report.map_avg == evaluate_retrieval(**pairs).map_avg
    assert set(report.i2t.per_class_map) == {"bus", "cat", "dog", "cow", "tree"}


def test_accuracies(pairs: dict[str, Any]) -> None:
    labels = pairs["labels"]
    wrong = labels.copy()
    wrong[:30] = (wrong[:30] + 1) % 5
    report = evaluate_retrieval(**pairs, predicted_image_labels=wrong, predicted_text_labels=labels)
    assert report.image_accuracy == 0.75
    assert report.text_accuracy == 1.0
    assert "0.750" in report.table()


def test_to_dict_is_json_and_the_table_shows_the_headline(pairs: dict[str, Any]) -> None:
    report = evaluate_retrieval(**pairs, pr_levels=101)
    record = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert record == report.to_dict()
    for key in ("map_i2t", "map_t2i", "map_avg", "map50_i2t", "map50_t2i", "map50_avg"):
        assert record[key] == getattr(report, key)
    assert record["recall_t2i"] == {str(k): report.t2i.recall[k] for k in (1, 5, 10)}
    assert len(record["pr_curve_i2t"]) == len(record["pr_recall"]) == 101
    line = next(line for line in report.table().splitlines() if line.startswith("MAP@all"))
    assert line.split()[1:] == [
        f"{v:.3f}" for v in (report.map_i2t, report.map_t2i, report.map_avg)
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.arange(3)}, "labels: expected 120"),
        ({"text_embeddings": np.ones((7, 16))}, "are not pairs"),
        ({"text_owner": np.arange(3)}, "text_owner: expected 120"),
        ({"text_owner": np.arange(1, 121)}, "from 0 to 119"),
        ({"text_owner": np.arange(120) / 2}, "whole numbers"),
        ({"predicted_text_labels": np.arange(3)}, "predicted labels: expected 120"),
        ({"labels": None, "predicted_text_labels": np.arange(120)}, "need labels"),
        ({"image_embeddings": np.full((120, 16), np.nan)}, "not finite"),
        ({"pr_levels": 1}, "2 or more levels"),
    ],
)
def test_bad_input_is_refused_in_words(
    pairs: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(QueryError, match=message):
        evaluate_retrieval(**{**pairs, **change})
