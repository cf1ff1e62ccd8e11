"""Canonical correlations know nothing of the axes, units and zeros of either side."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cmr_hub.baselines.canonical import canonical_directions
from cmr_hub.baselines.views import LinearView

NO_RIDGE = 1e-12


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """More pairs than dimensions, with something in common."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dims = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    shared = generator.normal(size=(draw(st.integers(14, 30)), 2))
    sides = [
        shared @ generator.normal(size=(2, dim)) + generator.normal(size=(len(shared), dim))
        for dim in dims
    ]
    return sides[0].astype(np.float32), sides[1].astype(np.float32), generator


def affine(rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """An affine map that can be undone, and by which not too much is rounded away."""
    dim = rows.shape[1]
    left, right = (np.linalg.qr(generator.normal(size=(dim, dim)))[0] for _ in range(2))
    scales = generator.uniform(0.2, 5, dim)
    moved = rows.astype(np.float64) @ (left * scales @ right) + generator.normal(size=dim)
    return moved.astype(np.float32)


def correlations(images: np.ndarray, texts: np.ndarray, ridge: float = NO_RIDGE) -> np.ndarray:
    found = canonical_directions(LinearView.fit(images), LinearView.fit(texts), ridge, ridge)
    return found.correlations


@given(pairs())
def test_affine_maps_of_either_side_decide_nothing(pair) -> None:
    images, texts, generator = pair
    found = correlations(images, texts)
    np.testing.assert_allclose(
        correlations(affine(images, generator), affine(texts, generator)), found, atol=2e-3
    )


@given(pairs(), st.sampled_from([NO_RIDGE, 0.1, 3.0, 100.0]))
def test_order_sides_and_bounds(pair, ridge: float) -> None:
    images, texts, generator = pair
    found = correlations(images, texts, ridge)
    assert (found >= 0).all()
    assert (found <= 1 + 1e-9).all()
    assert (np.diff(found) <= 1e-12).all()
    np.testing.assert_allclose(correlations(texts, images, ridge), found, atol=1e-9)
    order = generator.permutation(len(images))
    np.testing.assert_allclose(correlations(images[order], texts[order], ridge), found, atol=1e-5)


@given(pairs())
def test_equal_sides_agree_wholly_and_a_ridge_only_lessens(pair) -> None:
    images, texts, generator = pair
    np.testing.assert_allclose(correlations(images, affine(images, generator)), 1, atol=2e-3)
    assert (correlations(images, texts, 1.0) <= correlations(images, texts) + 1e-9).all()


@given(pairs())
def test_directions_are_uncorrelated_and_correlate_as_told(pair) -> None:
    images, texts, _ = pair
    one, two = LinearView.fit(images), LinearView.fit(texts)
    found = canonical_directions(one, two, NO_RIDGE, NO_RIDGE)
    x, y = one.coordinates(images) @ found.images, two.coordinates(texts) @ found.texts
    np.testing.assert_allclose(x.T @ x, np.eye(x.shape[1]), atol=1e-5)
    np.testing.assert_allclose(y.T @ y, np.eye(y.shape[1]), atol=1e-5)
    np.testing.assert_allclose(x.T @ y, np.diag(found.correlations), atol=1e-5)
