from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from cmr_hub.errors import QueryError
from cmr_hub.metrics.content_based import content_based_map


def test_equals_scikit_learns_average_precision():
    generator = np.random.default_rng(0)
    labels = np.arange(30) % 3
    features = generator.normal(size=(3, 5))[labels] + generator.normal(size=(30, 5))
    expected = []
    for query in range(30):
        others = np.delete(np.arange(30), query)
        distances = [math.dist(features[query], features[other]) for other in others]
        expected.append(
            average_precision_score(labels[others] == labels[query], -np.array(distances))
        )
    found = content_based_map(features, labels)
    assert math.isclose(found.value, np.mean(expected), rel_tol=1e-12)
    assert (found.k, found.n_queries, found.empty_queries) == (None, 30, 0)


def test_it_is_euclidean_not_cosine():
    features = [[1.0, 0.0], [1.1, 0.0], [9.0, 0.0], [9.1, 0.0]]
    assert content_based_map(features, [0, 0, 1, 1]).value == 1


def test_items_that_are_all_alike_rank_by_chance_whatever_their_order():
    labels = np.repeat(np.arange(10), 20)
    value = content_based_map(np.ones((200, 3)), labels).value
    assert abs(value - 0.1) < 0.04


def test_a_lone_item_is_counted_and_left_out_of_the_mean():
    found = content_based_map([[0.0], [1.0], [5.0]], [0, 0, 1])
    assert (found.value, found.n_queries, found.empty_queries) == (1.0, 3, 1)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        ([[1.0]], [0], "two rows"),
        ([1.0, 2.0], [0, 0], "two rows"),
        ([[1.0], [np.nan]], [0, 0], "finite"),
        ([[1.0], [2.0]], [0], "labels"),
        ([[1.0], [2.0]], [0, 1], "no query has an answer"),
    ],
)
def test_says_what_is_wrong(features, labels, message):
    with pytest.raises(QueryError, match=message):
        content_based_map(features, labels)
