from __future__ import annotations

import numpy as np
import pytest

from cmr_hub.errors import QueryError
from cmr_hub.metrics import ranking
from cmr_hub.metrics.ranking import rank, ranked_chunks
from cmr_hub.metrics.retrieval import mean_average_precision


def test_order_is_that_of_plain_cosine() -> None:
    random = np.random.default_rng(1)
    queries = random.normal(size=(30, 7)) * random.uniform(1e-3, 1e3, size=(30, 1))
    gallery = random.normal(size=(50, 7)) * random.uniform(1e-3, 1e3, size=(50, 1))
    for query, order in zip(queries, rank(queries, gallery), strict=True):
        cosines = [
            float(np.dot(query, row) / np.linalg.norm(query) / np.linalg.norm(row))
            for row in gallery
        ]
        assert order.tolist() == sorted(range(50), key=lambda row: -cosines[row])


@pytest.mark.parametrize("scores_at_once", [1, 150, 10**6])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, scores_at_once: int) -> None:
    random = np.random.default_rng(2)
    queries, gallery = random.normal(size=(40, 5)), random.normal(size=(60, 5))
    whole = rank(queries, gallery)
    monkeypatch.setattr(ranking, "SCORES_AT_ONCE", scores_at_once)
    np.testing.assert_array_equal(rank(queries, gallery), whole)


def test_a_chunk_holds_as_many_queries_as_fit_and_one_at_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for scores_at_once, lengths in ((1, [1] * 5), (12, [2, 2, 1]), (100, [5])):
        monkeypatch.setattr(ranking, "SCORES_AT_ONCE", scores_at_once)
        chunks = [order for _, order in ranked_chunks(np.ones((5, 2)), np.ones((6, 2)))]
        assert [len(order) for order in chunks] == lengths


def test_the_shuffle_that_breaks_ties_is_one_for_ever() -> None:
    assert rank(np.ones((1, 2)), np.ones((8, 2))).tolist() == [[6, 2, 1, 7, 3, 0, 5, 4]]


def test_ties_below_the_best_are_broken_by_the_shuffle_too() -> None:
    gallery = np.repeat([[0.0, 1.0], [0.6, 0.8], [1.0, 0.0]], [1, 400, 1], axis=0)
    shuffle = [row for row in rank(np.ones((1, 2)), np.ones((402, 2)))[0] if 0 < row < 401]
    for order in rank(np.array([[0.0, 1.0], [1.0, 0.0]]), gallery):
        assert order[1:-1].tolist() == shuffle


def test_scores_are_of_double_precision_whatever_comes() -> None:
    random = np.random.default_rng(6)
    centre = random.normal(size=64)
    near = (centre + 1e-4 * random.normal(size=(500, 64))).astype(np.float32)
    queries = random.normal(size=(20, 64)).astype(np.float32)
    expected = rank(queries.astype(np.float64), near.astype(np.float64))
    np.testing.assert_array_equal(rank(queries, near), expected)


def test_repeated_rows_stay_together_in_one_order_for_all_queries() -> None:
    random = np.random.default_rng(3)
    # At this size the columns of one matrix product differ in the last bit for equal rows.
    distinct = random.normal(size=(37, 100)).astype(np.float32)
    source = random.integers(37, size=1003)
    order = rank(random.normal(size=(100, 100)), distinct[source])
    for row in order:
        groups = source[row]
        # Every repeated row's copies are neighbours: there are as many runs as distinct rows.
        assert np.count_nonzero(np.diff(groups)) + 1 == len(np.unique(source))
    for group in range(37):
        tie_orders = {tuple(row[source[row] == group].tolist()) for row in order}
        assert len(tie_orders) == 1
        assert list(tie_orders.pop()) != np.flatnonzero(source == group).tolist()


def test_a_model_that_maps_everything_to_one_point_scores_chance() -> None:
    classes, of_each = 20, 10
    labels = np.repeat(np.arange(classes), of_each)
    point = np.ones((len(labels), 4))
    random = np.random.default_rng(4)
    ranks = np.arange(1, len(labels) + 1)
    shuffled = [random.permutation(labels) == 0 for _ in range(2000)]
    chance = np.mean([np.mean(np.arange(1, of_each + 1) / ranks[row]) for row in shuffled])
    by_index = np.mean(
        [np.mean(np.arange(1, of_each + 1) / ranks[labels == label]) for label in range(classes)]
    )
    assert by_index > 1.5 * chance
    found = mean_average_precision(point, point, labels, labels).value
    assert found == pytest.approx(chance, rel=0.15)


def test_negative_zero_and_zero_rows_tie() -> None:
    gallery = np.array([[1.0, 0.0], [1.0, -0.0], [0.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    above, below = rank(np.array([[0.1, 1.0], [0.1, -1.0]]), gallery)
    assert above[0] == 3
    assert above[-1] == 4
    assert above[3] == 2
    assert above[1:3].tolist() == below[1:3].tolist()


def test_lengths_at_the_edge_of_floats_do_not_matter() -> None:
    random = np.random.default_rng(5)
    queries, gallery = random.normal(size=(5, 6)), random.normal(size=(20, 6))
    expected = rank(queries, gallery)
    np.testing.assert_array_equal(rank(queries * 1e-300, gallery * 1e300), expected)
    lengths = np.logspace(-300, 300, 20)[:, None]
    np.testing.assert_array_equal(rank(queries, gallery * lengths), expected)


@pytest.mark.parametrize(
    ("queries", "gallery", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), "same model"),
        (np.ones(3), np.ones((2, 3)), "queries must be"),
        (np.ones((2, 3)), np.ones((0, 3)), "gallery must be"),
        (np.array([[1.0, 2.0], [np.nan, 1.0]]), np.ones((2, 2)), "first is row 1"),
        (np.ones((2, 2)), np.array([[np.inf, 1.0]]), "gallery: 1 of 1"),
    ],
)
def test_what_cannot_be_ranked(queries: np.ndarray, gallery: np.ndarray, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        rank(queries, gallery)
