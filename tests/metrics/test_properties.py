"""What must hold of every figure, whatever is ranked."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import silhouette_score

from cmr_hub.errors import QueryError
from cmr_hub.metrics.common_space import cluster, modality_gap, silhouette
from cmr_hub.metrics.content_based import content_based_map
from cmr_hub.metrics.ranking import rank
from cmr_hub.metrics.retrieval import (
    average_precision,
    interpolated_precision,
    mean_average_precision,
    per_class_map,
    precision_at_k,
    recall_at_k,
)

RELEVANCE = st.tuples(st.integers(1, 6), st.integers(1, 9)).flatmap(
    lambda shape: arrays(np.bool_, shape)
)
DEPTH = st.integers(1, 12)


def points(count: st.SearchStrategy[int], dim: int = 3, low: int = -2) -> st.SearchStrategy[Any]:
    """Rows of few whole numbers: many of them tie, and some are zero."""
    return count.flatmap(lambda n: arrays(np.float64, (n, dim), elements=st.integers(low, 2)))


def labels(count: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.int64, count, elements=st.integers(0, 3))


@st.composite
def questions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Queries, gallery, and the labels of both."""
    queries, gallery = draw(points(st.integers(1, 5))), draw(points(st.integers(1, 8)))
    return queries, gallery, draw(labels(len(queries))), draw(labels(len(gallery)))


def loop_ap(row: list[bool], k: int | None, denominator: str) -> float:
    relevant = sum(row)
    if not relevant:
        return math.nan
    hits, total = 0, 0.0
    for place, right in enumerate(row[:k], start=1):
        hits += right
        total += right * hits / place
    if denominator == "hits":
        return total / hits if hits else 0.0
    return total / min(relevant, relevant if k is None else k)


@given(RELEVANCE, st.none() | DEPTH, st.sampled_from(["relevant", "hits"]))
def test_figures_are_the_plain_loop(relevance: np.ndarray, k: int | None, denominator: str) -> None:
    expected = [loop_ap(row, k, denominator) for row in relevance.tolist()]
    found = average_precision(relevance, k, denominator)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    depth = k or 3
    for row, precision, recall in zip(
        relevance.tolist(),
        precision_at_k(relevance, depth),
        recall_at_k(relevance, depth),
        strict=True,
    ):
        if any(row):
            assert precision == pytest.approx(sum(row[:depth]) / depth)
            assert recall == any(row[:depth])
        else:
            assert math.isnan(precision)
            assert math.isnan(recall)


@given(RELEVANCE, st.integers(2, 30))
def test_the_curve_is_the_plain_loop_and_falls(relevance: np.ndarray, levels: int) -> None:
    for row, curve in zip(
        relevance.tolist(), interpolated_precision(relevance, levels), strict=True
    ):
        relevant = sum(row)
        if not relevant:
            assert np.isnan(curve).all()
            continue
        at = [(sum(row[:n]), sum(row[:n]) / n) for n in range(1, len(row) + 1)]
        for step, value in enumerate(curve):
            reached = [p for hits, p in at if hits * (levels - 1) >= step * relevant]
            assert value == pytest.approx(max(reached))
        assert (np.diff(curve) <= 1e-12).all()


@given(RELEVANCE, DEPTH)
def test_figures_keep_their_bounds(relevance: np.ndarray, k: int) -> None:
    """Between 0 and 1; 1 exactly where everything relevant stands first; better by every swap."""
    figures = average_precision(relevance)
    answered = relevance.any(axis=1)
    perfect = (relevance == np.sort(relevance, axis=1)[:, ::-1]).all(axis=1)
    assert (figures[answered & perfect] == 1).all()
    assert (figures[answered & ~perfect] < 1).all()
    assert (figures[answered] > 0).all()
    assert (recall_at_k(relevance, k + 1)[answered] >= recall_at_k(relevance, k)[answered]).all()
    for place in range(1, relevance.shape[1]):
        swapped = relevance.copy()
        rises = swapped[:, place] & ~swapped[:, place - 1]
        swapped[rises, place - 1], swapped[rises, place] = True, False
        assert (average_precision(swapped)[rises] > figures[rises]).all()


@given(questions())
def test_map_is_the_plain_loop_where_nothing_ties(asked: Any) -> None:
    queries, gallery, wanted, given_ = asked
    generator = np.random.default_rng(0)
    gallery = gallery + generator.normal(size=gallery.shape)  # no two cosines are the same
    figures = []
    queries = np.where(queries.any(axis=1, keepdims=True), queries, 1.0)
    for query, label in zip(queries, wanted, strict=True):
        cosines = [row @ query / np.linalg.norm(row) / np.linalg.norm(query) for row in gallery]
        order = sorted(range(len(gallery)), key=lambda place: -cosines[place])
        figures.append(loop_ap([bool(given_[place] == label) for place in order], None, "relevant"))
    if all(map(math.isnan, figures)):
        with pytest.raises(QueryError, match="no query has an answer"):
            mean_average_precision(queries, gallery, wanted, given_)
        return
    found = mean_average_precision(queries, gallery, wanted, given_)
    assert found.value == pytest.approx(np.nanmean(figures), abs=1e-12)
    assert found.empty_queries == sum(map(math.isnan, figures))


def tie_groups(query: np.ndarray, gallery: np.ndarray) -> list[list[int]]:
    """The gallery by its cosine to a query, the best first; what ties exactly stands together.

    Points are whole numbers: |c| c, which orders as the cosine c does, is an exact fraction.
    """
    from fractions import Fraction

    def key(row: np.ndarray) -> Fraction:
        dot, length = int(row @ query), int(row @ row) * int(query @ query)
        return Fraction(dot * abs(dot), length) if length else Fraction(0)

    keys = [key(row) for row in gallery]
    return [
        [place for place, value in enumerate(keys) if value == this]
        for this in sorted(set(keys), reverse=True)
    ]


@given(questions())
def test_ties_and_only_ties_are_in_any_order(asked: Any) -> None:
    """Copies of a row are one group for every query, in one order that knows no labels."""
    queries, gallery, _, _ = asked
    orders = rank(queries, gallery)
    for query, order in zip(queries, orders, strict=True):
        start = 0
        for group in tie_groups(query, gallery):
            found = order[start : start + len(group)].tolist()
            start += len(group)
            assert sorted(found) == group
    for one, two in itertools.combinations(range(len(gallery)), 2):
        if np.array_equal(gallery[one], gallery[two]):
            before = {order.tolist().index(one) < order.tolist().index(two) for order in orders}
            assert len(before) == 1


@given(
    st.lists(st.booleans(), min_size=2, max_size=4).filter(any),
    st.integers(0, 2),
    st.integers(0, 2),
)
def test_tied_map_is_the_mean_over_permutations(tied: list[bool], better: int, worse: int) -> None:
    """In expectation over where the items stand in the gallery, ties neither pay nor cost."""
    rows = [1.0] * better + [0.0] * len(tied) + [-1.0] * worse
    gallery = np.array([[x, np.sqrt(1 - x * x)] for x in rows])
    query, wanted = np.array([[1.0, 0.0]]), np.array([1])
    start, stop = better, better + len(tied)
    expected = np.mean(
        [
            loop_ap([False] * better + list(order) + [False] * worse, None, "relevant")
            for order in itertools.permutations(tied)
        ]
    )
    found = []
    for order in itertools.permutations(range(len(tied))):
        given_ = np.zeros(len(rows), np.int64)
        given_[start:stop] = np.array(tied)[list(order)]
        found.append(mean_average_precision(query, gallery, wanted, given_).value)
    assert np.mean(found) == pytest.approx(expected, abs=1e-12)


@given(
    questions(),
    st.integers(-200, 200),
    arrays(np.float64, 8, elements=st.integers(-3, 3)),
    st.integers(0, 2**32 - 1),
)
def test_length_names_and_order_decide_nothing(
    asked: Any, power: int, powers: np.ndarray, seed: int
) -> None:
    queries, gallery, wanted, given_ = asked
    assume(np.isin(wanted, given_).any())
    whole = mean_average_precision(queries, gallery, wanted, given_)
    # Powers of two change no bit of a mantissa.
    scaled = mean_average_precision(
        queries * 2.0**power, gallery * 2.0 ** powers[: len(gallery), None], wanted, given_
    )
    assert scaled == whole
    order = np.random.default_rng(seed).permutation(len(queries))
    shuffled = mean_average_precision(queries[order], gallery, wanted[order], given_)
    assert shuffled.value == pytest.approx(whole.value, abs=1e-12)
    names = np.array(["d", "a", "c", "b"])
    named = mean_average_precision(queries, gallery, names[wanted], names[given_])
    assert named == whole


@given(questions())
def test_a_far_item_of_no_class_changes_nothing(asked: Any) -> None:
    """What stands last answers nobody: MAP stays."""
    queries, gallery, wanted, given_ = asked
    assume(np.isin(wanted, given_).any())
    queries, gallery = np.abs(queries) + 1, np.abs(gallery) + 1
    gallery = gallery + np.random.default_rng(0).uniform(0, 0.1, gallery.shape)
    more = np.concatenate([gallery, -np.ones((1, 3))])
    one = mean_average_precision(queries, gallery, wanted, given_)
    other = mean_average_precision(queries, more, wanted, np.append(given_, 99))
    assert other.value == pytest.approx(one.value, abs=1e-12)


@given(RELEVANCE, st.data())
def test_classes_average_to_the_whole(relevance: np.ndarray, data: st.DataObject) -> None:
    figures = average_precision(relevance)
    of = data.draw(labels(len(figures)))
    by_class = per_class_map(figures, of)
    answered = ~np.isnan(figures)
    assert set(by_class) == {str(label) for label in of[answered]}
    counts = {label: np.count_nonzero(of[answered] == int(label)) for label in by_class}
    total = sum(by_class[label] * count for label, count in counts.items())
    assert total == pytest.approx(np.nansum(figures))


@given(points(st.integers(2, 7)), st.data())
def test_content_based_map_is_the_loop(rows: np.ndarray, data: st.DataObject) -> None:
    rows = rows + np.random.default_rng(1).normal(size=rows.shape)
    of = data.draw(labels(len(rows)))
    figures = []
    for own in range(len(rows)):
        others = sorted(
            (place for place in range(len(rows)) if place != own),
            key=lambda place: np.linalg.norm(rows[place] - rows[own]),
        )
        figures.append(loop_ap([bool(of[p] == of[own]) for p in others], None, "relevant"))
    if all(map(math.isnan, figures)):
        with pytest.raises(QueryError):
            content_based_map(rows, of)
        return
    assert content_based_map(rows, of).value == pytest.approx(np.nanmean(figures), abs=1e-12)


@given(points(st.integers(1, 6)), points(st.integers(1, 6)), st.integers(-50, 50))
def test_the_gap_is_a_distance(images: np.ndarray, texts: np.ndarray, power: int) -> None:
    gap = modality_gap(images, texts)
    assert 0 <= gap <= 2 + 1e-12
    assert modality_gap(texts, images) == pytest.approx(gap, abs=1e-12)
    assert modality_gap(images, images) == 0
    assert modality_gap(images * 2.0**power, texts) == pytest.approx(gap, abs=1e-12)


@given(points(st.integers(1, 9)), st.data())
def test_silhouette_is_scikit_learns(rows: np.ndarray, data: st.DataObject) -> None:
    of = data.draw(arrays(np.int64, len(rows), elements=st.integers(-1, 3)))
    found = silhouette(rows, of)
    known = of >= 0
    names = np.unique(of[known])
    if len(names) < 2 or len(names) >= known.sum():
        assert found is None
        return
    assert found is not None
    assert -1 - 1e-12 <= found <= 1 + 1e-12
    if rows[known].any(axis=1).all():  # scikit-learn has no cosine of a zero row
        expected = silhouette_score(rows[known], of[known], metric="cosine")
        assert found == pytest.approx(expected, abs=1e-9)


def test_clusters_are_compared_with_classes_as_by_hand() -> None:
    random = np.random.default_rng(0)
    of = np.array([0] * 30 + [1] * 20 + [2] * 10 + [-1] * 5)
    centres = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 0, 0]])
    rows = centres[of] + 0.1 * random.normal(size=(65, 3))
    rows[:6] = centres[1] + 0.1 * random.normal(size=(6, 3))  # six of class 0 among class 1
    found = cluster(rows, of)
    assert found is not None
    # 24 of class 0 with the five of none, six of class 0 with twenty of class 1, ten of class 2.
    assert found.clusters[6:30].tolist() == [0] * 24
    assert found.clusters[60:].tolist() == [0] * 5
    assert found.clusters[:6].tolist() == [1] * 6
    assert found.purity == pytest.approx(54 / 60)
    joint = np.array([[24, 6, 0], [0, 20, 0], [0, 0, 10]]) / 60
    entropy = [-sum(p * math.log(p) for p in joint.sum(axis) if p) for axis in (0, 1)]
    both = -sum(p * math.log(p) for p in joint.ravel() if p)
    information = entropy[0] + entropy[1] - both
    assert found.nmi == pytest.approx(2 * information / sum(entropy))
    assert cluster(rows[:30], of[:30]) is None
    assert cluster(np.ones((6, 3)), [0, 0, 1, 1, 2, 2]) is None
