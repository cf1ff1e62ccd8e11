from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA, KernelPCA

from cmr_hub.baselines.linear import fit_scaling, scale
from cmr_hub.baselines.views import KernelView, LinearView


def rows(n, dim, seed=0):
    return np.random.default_rng(seed).normal(1, 1, size=(n, dim)).astype(np.float32)


def up_to_sign(found, expected):
    signs = np.sign((found * expected).sum(0))
    np.testing.assert_allclose(found * signs, expected, atol=1e-5)


@pytest.mark.parametrize(("n", "dim"), [(30, 8), (10, 25)])
def test_linear_view_is_pca(n, dim):
    train, asked = rows(n, dim), rows(5, dim, seed=1)
    view = LinearView.fit(train)
    rank = min(n - 1, dim)
    assert view.scores.shape == (n, rank)
    pca = PCA(rank).fit(scale(view.scaling, train))
    up_to_sign(view.coordinates(asked), pca.transform(scale(view.scaling, asked)))
    np.testing.assert_allclose(view.coordinates(train), view.scores * view.lengths, atol=1e-9)


def test_linear_view_leaves_out_what_does_not_vary():
    train = rows(30, 6)
    train[:, 2] = 1e4 / 3  # its mean in float32 is not exact
    train[:, 5] = train[:, 0] + train[:, 1]
    assert LinearView.fit(train).axes.shape == (6, 4)


def test_kernel_view_is_kernel_pca():
    train, asked = rows(40, 6), rows(7, 6, seed=1)
    view = KernelView.fit(train, width=0.7)
    x = scale(fit_scaling(train), train)
    bandwidth = 0.7 * np.mean([((a - b) ** 2).sum() for a in x for b in x])
    oracle = KernelPCA(view.lengths.size, kernel="rbf", gamma=1 / bandwidth).fit(x)
    up_to_sign(view.coordinates(asked), oracle.transform(scale(view.scaling, asked)))
    np.testing.assert_allclose(view.coordinates(train), view.scores * view.lengths, atol=1e-8)


def test_a_very_wide_kernel_is_the_linear_view():
    train, asked = rows(30, 4), rows(5, 4, seed=1)
    wide, linear = KernelView.fit(train, width=1e5), LinearView.fit(train)
    # k ≈ 1 − ‖a − b‖²/h, so centred k ≈ 2 aᵀb / h: the same axes, all shorter alike.
    found = wide.coordinates(asked)[:, :4] * np.sqrt(wide.bandwidth / 2)
    signs = np.sign((found * linear.coordinates(asked)).sum(0))
    np.testing.assert_allclose(found * signs, linear.coordinates(asked), rtol=0.02, atol=0.02)
