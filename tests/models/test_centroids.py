import numpy as np
import pytest

from cmr_hub.models.centroids import ClassCentroids


def unit_rows(n, dim, seed):
    rows = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_against_a_loop():
    images, texts = unit_rows(60, 8, 0), unit_rows(60, 8, 1)
    labels = np.random.default_rng(2).integers(0, 5, 60)
    centroids = ClassCentroids.fit(images, texts, labels, 5)
    for rows, found in ((images, centroids.images), (texts, centroids.texts)):
        assert found.dtype == np.float32
        for label in range(5):
            mean = np.mean([row for row, of in zip(rows, labels, strict=True) if of == label], 0)
            np.testing.assert_allclose(found[label], mean / np.linalg.norm(mean), rtol=1e-5)
    queries = unit_rows(40, 8, 3)
    for modality, means in (("image", centroids.images), ("text", centroids.texts)):
        expected = [max(range(5), key=lambda c: float(q @ means[c])) for q in queries]
        assert centroids.predict(queries, modality).tolist() == expected
    assert len(centroids.predict(queries[:0], "image")) == 0


def test_modalities_are_kept_apart():
    up, down = np.eye(2, dtype=np.float32), -np.eye(2, dtype=np.float32)
    centroids = ClassCentroids.fit(up, down, np.array([0, 1]), 2)
    query = np.array([[1, 0]], np.float32)
    assert centroids.predict(query, "image").tolist() == [0]
    assert centroids.predict(query, "text").tolist() == [1]


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_class_without_items_is_never_predicted(absent):
    present = [label for label in range(3) if label != absent]
    rows = np.array([[1, 0], [0, 1]], np.float32)
    centroids = ClassCentroids.fit(rows, rows, np.array(present), 3)
    assert not centroids.images[absent].any()
    # Nearer to the origin than to any centroid.
    away = -np.ones((1, 2), np.float32) / np.sqrt(2, dtype=np.float32)
    for queries in (rows, away, -rows):
        assert absent not in centroids.predict(queries, "image")
