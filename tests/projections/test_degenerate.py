"""Maps of rows that are no cloud of points: equal, on a line, of one number, or giant."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cmr_hub.projections.methods import ProjectionOptions, project_stages

BASE = np.random.default_rng(0).normal(size=(60, 8))
ONE_OF_MANY = np.where(np.arange(60)[:, None] < 59, 1.0, BASE)
ROWS = {
    "equal": np.ones((60, 8)),
    "zero": np.zeros((60, 8)),
    "one other": ONE_OF_MANY,
    "two points": np.repeat(BASE[:2], 30, axis=0),
    "a line": np.outer(np.linspace(-1, 1, 60), np.ones(8)),
    "one number": BASE[:, :1],
    "giant": 1e300 * BASE,
    "tiny": 1e-300 * BASE,
}


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_map_of_finite_numbers(method: str, name: str, dimensions: int, metric: str) -> None:
    options = ProjectionOptions(method=method, metric=metric, dimensions=dimensions, perplexity=5)
    shares: list[float] = []
    stages = [ROWS[name], ROWS[name]]
    for found in project_stages(stages, options, shares.append):
        assert found.shape == (60, dimensions)
        assert np.isfinite(found).all()
        if name == "equal":
            assert not np.ptp(found, axis=0).any()


@pytest.mark.parametrize("count", [100, 400])
def test_equal_rows_do_not_end_the_process(count: int) -> None:
    """In a process of its own: what is tried here once ended it."""
    program = (
        "import numpy as np; from cmr_hub.projections.methods import *; "
        f"(found,) = project_stages([np.ones(({count}, 6))], ProjectionOptions(method='tsne')); "
        "assert np.isfinite(found).all()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_stage_after_equal_rows_is_laid_out_anew() -> None:
    """Training begins with all vectors at one place, and may end there."""
    options = ProjectionOptions(method="tsne", perplexity=5)
    before, after = project_stages([BASE, np.ones((60, 8))], options)
    assert np.isfinite(before).all()
    assert np.ptp(before, axis=0).min() > 0
    assert not after.any()
