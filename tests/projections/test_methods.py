from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from cmr_hub.errors import QueryError
from cmr_hub.projections import methods
from cmr_hub.projections.methods import ProjectionOptions, _nearest, project_stages

LABELS = np.arange(60) % 3


def rows(noise: float) -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = 3 * generator.normal(size=(3, 10))
    return centres[LABELS] + noise * generator.normal(size=(60, 10))


@pytest.mark.parametrize("many", [10, 10_000])
def test_pca_is_scikit_learns(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_MANY", many)
    options = ProjectionOptions(method="pca", metric="euclidean", dimensions=3)
    (found,) = project_stages([rows(1.0)], options)
    expected = PCA(3).fit_transform(rows(1.0))
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-4)
    first, last = project_stages([rows(2.0), rows(1.0)], options)
    assert last == pytest.approx(found)
    moved = PCA(3).fit(rows(1.0)).transform(rows(2.0))
    assert np.abs(first) == pytest.approx(np.abs(moved), abs=1e-4)


def test_pca_of_fewer_dimensions_than_asked() -> None:
    (found,) = project_stages([np.eye(5)[:, :1]], ProjectionOptions(metric="euclidean"))
    assert found.shape == (5, 2)
    assert (found[:, 1] == 0).all()


@pytest.mark.parametrize("method", ["tsne", "umap"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_neighbours_stay_together(method: str, dimensions: int) -> None:
    told: list[float] = []
    options = ProjectionOptions(
        method=method, dimensions=dimensions, perplexity=8, neighbours=8, metric="euclidean"
    )
    before, after = project_stages([rows(2.0), rows(0.3)], options, told.append)
    assert before.shape == after.shape == (60, dimensions)
    assert silhouette_score(after, LABELS) > 0.7
    assert told == sorted(told)
    assert 0 <= told[0] <= told[-1] <= 1
    assert len(told) > 1
    again = project_stages([rows(0.3)], options)[0]
    assert again == pytest.approx(after, abs=1e-4)


def test_what_cannot_be_projected() -> None:
    tsne = ProjectionOptions(method="tsne", perplexity=30)
    with pytest.raises(QueryError, match="60 points are too few for tsne"):
        project_stages([rows(1.0)], tsne)
    with pytest.raises(QueryError, match="finite"):
        project_stages([np.full((20, 3), np.nan)], ProjectionOptions())
    with pytest.raises(QueryError, match="same points"):
        project_stages([rows(1.0), rows(1.0)[:50]], ProjectionOptions())
    with pytest.raises(QueryError, match="at least one"):
        project_stages([], ProjectionOptions())
    with pytest.raises(ValidationError):
        ProjectionOptions(method="magic")


def test_only_options_that_count_are_used() -> None:
    one = ProjectionOptions(method="tsne", min_dist=0.5)
    assert one.used() == ProjectionOptions(method="tsne").used()
    assert one.used() != ProjectionOptions(method="tsne", perplexity=10).used()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_nearest_rows_are_scikit_learns(metric: str) -> None:
    generator = np.random.default_rng(3)
    given = generator.normal(size=(80, 6)) + (100 if metric == "euclidean" else 0)
    given[40:46] = given[0]  # more of a kind than neighbours are asked for
    if metric == "cosine":
        given /= np.linalg.norm(given, axis=1, keepdims=True)
    found, distances = _nearest(given, 5, metric)
    assert found.shape == distances.shape == (80, 5)
    assert not (found == np.arange(80)[:, None]).any()
    expected, numbers = NearestNeighbors(n_neighbors=5, metric=metric).fit(given).kneighbors()
    assert distances == pytest.approx(expected, abs=2e-3)
    alone = np.setdiff1d(np.arange(80), [0, *range(40, 46)])
    assert [set(row) for row in found[alone[:10]]] == [set(row) for row in numbers[alone[:10]]]
