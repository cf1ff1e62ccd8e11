from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import block_diag, eigh
from scipy.stats import ortho_group
from sklearn.cross_decomposition import CCA, PLSSVD

from cmr_hub.baselines.canonical import canonical_directions
from cmr_hub.baselines.cca import CCABaseline
from cmr_hub.baselines.kcca import KCCABaseline
from cmr_hub.baselines.linear import scale
from cmr_hub.baselines.views import KernelView, LinearView
from cmr_hub.metrics.validation import validation_map


def projections(pairs, image_ridge, text_ridge):
    images, texts = LinearView.fit(pairs.images), LinearView.fit(pairs.texts)
    found = canonical_directions(images, texts, image_ridge, text_ridge)
    return (
        images.coordinates(pairs.images) @ found.images,
        texts.coordinates(pairs.texts) @ found.texts,
        found,
    )


def test_solves_the_generalised_eigenproblem(pairs):
    data = pairs(50, 0)
    images, texts = LinearView.fit(data.images), LinearView.fit(data.texts)
    x, y = scale(images.scaling, data.images), scale(texts.scaling, data.texts)
    x, y = x - x.mean(0), y - y.mean(0)
    ridges = 0.3 * np.trace(x.T @ x) / 12, 2.0 * np.trace(y.T @ y) / 9
    left = np.zeros((21, 21))
    left[:12, 12:] = x.T @ y
    left[12:, :12] = y.T @ x
    right = block_diag(x.T @ x + ridges[0] * np.eye(12), y.T @ y + ridges[1] * np.eye(9))
    values, vectors = eigh(left, right)
    found = canonical_directions(images, texts, 0.3, 2.0)
    np.testing.assert_allclose(found.correlations, values[::-1][:9], atol=1e-9)
    # The eigenproblem's vectors are [a; b] / √2.
    for k in range(9):
        expected = vectors[:, -1 - k] * math.sqrt(2)
        a, b = images.axes @ found.images[:, k], texts.axes @ found.texts[:, k]
        sign = np.sign(a @ expected[:12])
        np.testing.assert_allclose(np.concatenate([a, b]) * sign, expected, atol=1e-7)


def test_without_ridge_it_is_scikit_learns_cca(pairs):
    data = pairs(60, 0)
    x, y, found = projections(data, 1e-12, 1e-12)
    oracle = CCA(3, max_iter=5000, tol=1e-12).fit_transform(data.images, data.texts)
    for k in range(3):
        for ours, theirs in zip((x, y), oracle, strict=True):
            assert abs(np.corrcoef(ours[:, k], theirs[:, k])[0, 1]) > 1 - 1e-5
        assert math.isclose(
            np.corrcoef(x[:, k], y[:, k])[0, 1], found.correlations[k], abs_tol=1e-6
        )
    np.testing.assert_allclose(x.T @ x, np.eye(9), atol=1e-6)


def test_without_ridge_affine_maps_change_nothing(pairs):
    data = pairs(60, 0)
    generator = np.random.default_rng(3)
    mixed = pairs(60, 0)
    turn = ortho_group.rvs(12, random_state=3) * generator.uniform(0.3, 3, 12)
    object.__setattr__(mixed, "images", (data.images @ turn + 5).astype(np.float32))
    before, after = projections(data, 1e-12, 1e-12), projections(mixed, 1e-12, 1e-12)
    np.testing.assert_allclose(after[2].correlations, before[2].correlations, atol=1e-5)
    signs = np.sign((before[0] * after[0]).sum(0))
    np.testing.assert_allclose(after[0] * signs, before[0], atol=1e-3)


def test_with_an_infinite_ridge_it_is_pls(pairs):
    data = pairs(50, 0)
    x, y, _ = projections(data, math.inf, math.inf)
    oracle = PLSSVD(9, scale=False).fit_transform(data.images, data.texts)
    for ours, theirs in zip((x, y), oracle, strict=True):
        scales = np.linalg.norm(ours, axis=0) / np.linalg.norm(theirs, axis=0)
        np.testing.assert_allclose(scales, scales[0], rtol=1e-4)
        signs = np.sign((ours * theirs).sum(0))
        np.testing.assert_allclose(ours * signs, theirs * scales, atol=1e-3)


def test_a_huge_ridge_comes_near_to_pls(pairs):
    data = pairs(50, 0)
    huge, infinite = projections(data, 1e9, 1e9)[0], projections(data, math.inf, math.inf)[0]
    cosines = (huge * infinite).sum(0) / np.linalg.norm(huge, axis=0)
    np.testing.assert_allclose(np.abs(cosines), np.linalg.norm(infinite, axis=0), rtol=1e-6)


def test_kernel_cca_solves_its_dual_eigenproblem(pairs):
    data = pairs(30, 0)
    images, texts = KernelView.fit(data.images, 1.0), KernelView.fit(data.texts, 3.0)
    centre = np.eye(30) - 1 / 30

    def centred(view):
        square = ((view.rows[:, None] - view.rows) ** 2).sum(2)
        return centre @ np.exp(-square / view.bandwidth) @ centre

    k, m = centred(images), centred(texts)
    # ρ‖a‖² is ρ αᵀKα in the dual; α lies in the span of K, so that K's null space is harmless.
    rho = 0.5 * np.trace(k) / images.lengths.size, 0.1 * np.trace(m) / texts.lengths.size
    left = np.linalg.solve(k + rho[0] * np.eye(30), m) @ np.linalg.solve(m + rho[1] * np.eye(30), k)
    expected = np.sort(np.sqrt(np.abs(np.linalg.eigvals(left))))[::-1]
    found = canonical_directions(images, texts, 0.5, 0.1).correlations
    np.testing.assert_allclose(found[:12], expected[:12], atol=1e-6)


@pytest.mark.parametrize("kind", [CCABaseline, KCCABaseline])
def test_fewer_pairs_than_dimensions_do_not_spoil_it(kind, make_splits, pairs):
    splits = make_splits(40, 20, image_dim=300, text_dim=500, noise=0.8)
    fitted = kind().fit(splits, 0, validation_map)
    asked = pairs(60, 3, image_dim=300, text_dim=500, noise=0.8)
    images, texts = fitted.images.embed(asked.images), fitted.texts.embed(asked.texts)
    assert validation_map(images, texts, asked.labels) > 0.6  # chance: a quarter


def test_dim_and_power_weight_the_directions(pairs):
    data = pairs(50, 0)
    found = projections(data, 0.1, 0.1)[2]
    images, texts = found.weighted({"dim": 4.0, "power": 2.0})
    for k in range(4):
        weight = (found.correlations[k] / found.correlations[0]) ** 2
        np.testing.assert_allclose(images[:, k], found.images[:, k] * weight)
        np.testing.assert_allclose(texts[:, k], found.texts[:, k] * weight)
    assert images.shape[1] == texts.shape[1] == 4


def test_views_with_nothing_in_common_give_finite_directions():
    images = np.array([[1], [1], [-1], [-1]], dtype=np.float32)
    texts = np.array([[1], [-1], [1], [-1]], dtype=np.float32)
    found = canonical_directions(LinearView.fit(images), LinearView.fit(texts), 1.0, 1.0)
    assert np.isfinite(found.weighted({"dim": 10.0, "power": 1.0})).all()
