from __future__ import annotations

import math

import numpy as np
import pytest
import pytrec_eval
import scipy.stats
from sklearn.metrics import accuracy_score, average_precision_score

from cmr_hub.errors import QueryError
from cmr_hub.metrics.retrieval import (
    average_precision,
    bootstrap_interval,
    classification_accuracy,
    interpolated_precision,
    mean,
    mean_average_precision,
    per_class_map,
    precision_at_k,
    recall_at_k,
)


@pytest.fixture
def relevance() -> np.ndarray:
    random = np.random.default_rng(7)
    matrix = random.random((60, 90)) < random.uniform(0.01, 0.6, size=(60, 1))
    matrix[3], matrix[4] = False, True
    matrix[5] = np.arange(90) == 89
    return matrix


def test_recall_levels_fall_on_whole_items() -> None:
    # .07 * 100 and .55 * 100 are a little more than 7 and 55 as floats.
    late = np.concatenate([np.zeros(50, dtype=bool), np.ones(100, dtype=bool)])
    early_then_late = np.concatenate([late[50:57], late[:50], late[57:]])
    curve = interpolated_precision(early_then_late[None], 101)[0]
    assert curve[7] == 1
    assert curve[8] == 100 / 150
    early_then_late = np.concatenate([late[50:105], late[:50], late[105:]])
    assert interpolated_precision(early_then_late[None], 101)[0, 55] == 1


def loop_average_precision(row: list[bool], k: int | None, denominator: str) -> float:
    relevant = sum(row)
    if relevant == 0:
        return math.nan
    hits, total = 0, 0.0
    for place, is_relevant in enumerate(row[:k], start=1):
        if is_relevant:
            hits += 1
            total += hits / place
    if denominator == "hits":
        return total / hits if hits else 0.0
    return total / (relevant if k is None else min(k, relevant))


@pytest.mark.parametrize("denominator", ["relevant", "hits"])
@pytest.mark.parametrize("k", [None, 1, 2, 50, 90, 500])
def test_average_precision_is_the_plain_loop(
    relevance: np.ndarray, k: int | None, denominator: str
) -> None:
    expected = [loop_average_precision(row, k, denominator) for row in relevance.tolist()]
    found = average_precision(relevance, k, denominator)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_average_precision_is_that_of_scikit_learn(relevance: np.ndarray) -> None:
    scores = -np.arange(relevance.shape[1])
    for row, found in zip(relevance, average_precision(relevance), strict=True):
        if row.any():
            assert found == pytest.approx(average_precision_score(row, scores), abs=1e-12)


def test_figures_are_those_of_trec_eval(relevance: np.ndarray) -> None:
    # trec_eval rounds recall levels in its own way unless they fall on whole items.
    relevance = relevance.copy()
    for number, row in enumerate(relevance):
        places = np.random.default_rng(number).permutation(90)
        row[:] = False
        row[places[: 10 * (1 + number % 4)]] = True
    names = [f"{place:03d}" for place in range(90)]
    measures = {"map", "map_cut.50", "P.1,5,10", "success.1,5,10", "iprec_at_recall"}
    judged = {
        str(number): {name: int(hit) for name, hit in zip(names, row, strict=True)}
        for number, row in enumerate(relevance)
    }
    run = {str(q): {name: 90.0 - i for i, name in enumerate(names)} for q in range(len(relevance))}
    oracle = pytrec_eval.RelevanceEvaluator(judged, measures).evaluate(run)
    relevant = relevance.sum(axis=1)
    assert relevant.max() <= 50  # so trec_eval's divisor, R, is min(50, R)
    curve = interpolated_precision(relevance)
    columns = {
        "map": average_precision(relevance),
        "map_cut_50": average_precision(relevance, 50, "relevant"),
        **{f"P_{k}": precision_at_k(relevance, k) for k in (1, 5, 10)},
        **{f"success_{k}": recall_at_k(relevance, k) for k in (1, 5, 10)},
        **{f"iprec_at_recall_{i / 10:.2f}": curve[:, i] for i in range(11)},
    }
    for measure, found in columns.items():
        expected = [oracle[str(number)][measure] for number in range(len(relevance))]
        np.testing.assert_allclose(found, expected, atol=1e-6, err_msg=measure)


def test_eleven_levels_are_the_custom(relevance: np.ndarray) -> None:
    assert interpolated_precision(relevance).shape == (60, 11)


def test_the_two_denominators_differ_as_described() -> None:
    one_hit = np.zeros((1, 200), dtype=bool)
    one_hit[0, [0, 150, 151, 152]] = True
    assert average_precision(one_hit, 50, "hits").tolist() == [1.0]
    assert average_precision(one_hit, 50, "relevant").tolist() == [0.25]
    perfect = np.arange(200)[None] < 80
    assert average_precision(perfect, 50, "relevant").tolist() == [1.0]


@pytest.mark.parametrize("levels", [2, 11, 101])
def test_interpolated_precision_is_the_plain_loop(relevance: np.ndarray, levels: int) -> None:
    found = interpolated_precision(relevance, levels)
    for row, curve in zip(relevance.tolist(), found.tolist(), strict=True):
        relevant = sum(row)
        if relevant == 0:
            assert all(math.isnan(value) for value in curve)
            continue
        for step, value in enumerate(curve):
            hits, best = 0, 0.0
            for place, is_relevant in enumerate(row, start=1):
                hits += is_relevant
                if hits * (levels - 1) >= step * relevant:
                    best = max(best, hits / place)
            assert value == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("k", [1, 5, 10, 200])
def test_precision_and_recall_are_the_plain_loop(relevance: np.ndarray, k: int) -> None:
    for row, precision, recall in zip(
        relevance.tolist(), precision_at_k(relevance, k), recall_at_k(relevance, k), strict=True
    ):
        if any(row):
            assert precision == pytest.approx(sum(row[:k]) / k)
            assert recall == float(any(row[:k]))
        else:
            assert math.isnan(precision)
            assert math.isnan(recall)


@pytest.mark.parametrize("k", [None, 20])
@pytest.mark.parametrize("denominator", ["relevant", "hits"])
def test_map_of_embeddings_against_a_loop(k: int | None, denominator: str) -> None:
    random = np.random.default_rng(8)
    queries, gallery = random.normal(size=(33, 6)), random.normal(size=(70, 6))
    query_labels, gallery_labels = random.integers(6, size=33), random.integers(5, size=70)
    figures = []
    for query, label in zip(queries, query_labels, strict=True):
        cosines = gallery @ query / np.linalg.norm(gallery, axis=1)
        row = [bool(gallery_labels[item] == label) for item in np.argsort(-cosines)]
        figures.append(loop_average_precision(row, k, denominator))
    empty = sum(math.isnan(figure) for figure in figures)
    assert empty == np.count_nonzero(query_labels == 5) > 0
    found = mean_average_precision(
        queries, gallery, query_labels, gallery_labels, k=k, denominator=denominator
    )
    assert found.value == pytest.approx(np.nanmean(figures), abs=1e-12)
    assert (found.n_queries, found.empty_queries) == (33, empty)
    assert (found.k, found.denominator) == (k, denominator)


def test_map_does_not_depend_on_the_order_of_the_gallery() -> None:
    random = np.random.default_rng(9)
    queries, gallery = random.normal(size=(20, 4)), random.normal(size=(50, 4))
    query_labels, gallery_labels = random.integers(3, size=20), random.integers(3, size=50)
    order = random.permutation(50)
    one = mean_average_precision(queries, gallery, query_labels, gallery_labels)
    other = mean_average_precision(queries, gallery[order], query_labels, gallery_labels[order])
    assert other.value == pytest.approx(one.value, abs=1e-12)


@pytest.mark.parametrize("count", [12, 200])
def test_the_bootstrap_interval_is_that_of_scipy(count: int) -> None:
    figures = np.random.default_rng(1).beta(2, 1, size=count)
    theirs = scipy.stats.bootstrap(
        (figures,), np.mean, n_resamples=5000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    width = theirs.high - theirs.low
    found = bootstrap_interval(np.append(figures, np.nan))
    assert found == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)
    assert found == bootstrap_interval(figures)


def test_per_class_map() -> None:
    figures = np.array([0.5, 1.0, np.nan, 0.2, np.nan])
    labels = np.array(["dog", "cat", "cat", "dog", "bus"])
    assert per_class_map(figures, labels) == {"cat": 1.0, "dog": pytest.approx(0.35)}
    assert per_class_map(np.array([np.nan]), np.array([1])) == {}


def test_accuracy_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(10)
    predicted, labels = random.integers(4, size=100), random.integers(4, size=100)
    assert classification_accuracy(predicted, labels) == accuracy_score(labels, predicted)
    names = np.array(["a", "b", "c", "d"])
    assert classification_accuracy(names[predicted], names[labels]) == accuracy_score(
        labels, predicted
    )


def test_queries_without_answers_are_not_divided_by_zero() -> None:
    relevance = np.array([[False, True, True], [False, False, False]])
    with np.errstate(all="raise"):
        for denominator in ("relevant", "hits"):
            for k in (1, None):
                found = average_precision(relevance, k, denominator)
                assert math.isnan(found[1])
                assert found[0] == (0 if k == 1 else pytest.approx((1 / 2 + 2 / 3) / 2))


def test_bad_input_is_refused_in_words(relevance: np.ndarray) -> None:
    with pytest.raises(QueryError, match="k must be 1"):
        average_precision(relevance, 0)
    with pytest.raises(QueryError, match="k must be 1"):
        precision_at_k(relevance, -1)
    with pytest.raises(QueryError, match="k must be 1"):
        recall_at_k(relevance, 0)
    with pytest.raises(QueryError, match="'relevant' or 'hits'"):
        average_precision(relevance, 50, "all")
    with pytest.raises(QueryError, match="boolean matrix"):
        average_precision(relevance.astype(float))
    with pytest.raises(QueryError, match="boolean matrix"):
        recall_at_k(relevance[:, :0], 1)
    with pytest.raises(QueryError, match="2 or more levels"):
        interpolated_precision(relevance, 1)
    with pytest.raises(QueryError, match=r"^no query has an answer"):
        mean(np.array([np.nan, np.nan]))
    with pytest.raises(QueryError, match=r"^query labels: expected 3"):
        mean_average_precision(np.eye(3), np.eye(3), np.arange(2), np.arange(3))
    with pytest.raises(QueryError, match=r"^query labels: expected 2"):
        per_class_map(np.array([0.1, 0.2]), np.arange(3))
    with pytest.raises(QueryError, match=r"^gallery labels: expected 3"):
        mean_average_precision(np.eye(3), np.eye(3), np.arange(3), np.arange(2))
    with pytest.raises(QueryError, match="no query has an answer"):
        mean_average_precision(np.eye(3), np.eye(3), np.arange(3), np.arange(3, 6))
    with pytest.raises(QueryError, match=r"^predicted labels: expected 3"):
        classification_accuracy([1, 2], [1, 2, 3])
    with pytest.raises(QueryError, match=r"^accuracy of no items"):
        classification_accuracy([], [])
