"""Time of t-SNE, compared with openTSNE with its defaults and with all threads.

The quality of the map is also measured, as the share of each point's 15 nearest neighbours that are
among the 15 nearest in the map.
"""

from __future__ import annotations

import os
from functools import partial

import numpy as np
from openTSNE import TSNE
from rows import Rival, Row, measure
from sklearn.neighbors import NearestNeighbors

from cmr_hub.projections.methods import ProjectionOptions, project_stages

DIMENSIONS, CLASSES, NEIGHBOURS, COUNT = 256, 20, 15, 5_000


def drawn(count: int) -> np.ndarray:
    """Return unit vectors around 20 centres, like a common space of 20 classes."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(CLASSES, DIMENSIONS))
    labels = generator.integers(0, CLASSES, count)
    drawn = centres[labels] + 1.5 * generator.normal(size=(count, DIMENSIONS))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def kept(high: np.ndarray, low: np.ndarray) -> float:
    """Return the share of the nearest neighbours that are also nearest in the map."""
    sample = np.random.default_rng(1).choice(len(high), min(1_000, len(high)), replace=False)
    found = [
        NearestNeighbors(n_neighbors=NEIGHBOURS + 1)
        .fit(space)
        .kneighbors(space[sample], return_distance=False)[:, 1:]
        for space in (high, low)
    ]
    shares = [len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(*found, strict=True)]
    return float(np.mean(shares))


def tsne() -> Row:
    """Measure the map of 5,000 vectors of 256 dimensions."""
    points = drawn(COUNT)
    options = ProjectionOptions(method="tsne", metric="euclidean")

    def in_opentsne(data: np.ndarray, **more: int) -> np.ndarray:
        return np.asarray(TSNE(random_state=0, **more).fit(data))

    def ours(data: np.ndarray) -> np.ndarray:
        return project_stages([data], options)[0]

    in_opentsne(points[:500])  # warm-up: compilation
    cores = {"n_jobs": os.cpu_count() or 1}
    works = {
        "ours": (partial(ours, points), "all threads", None),
        "openTSNE": (partial(in_opentsne, points), "its defaults, one thread", "ours"),
        "openTSNE, all threads": (partial(in_opentsne, points, **cores), "n_jobs", "ours"),
    }
    rivals = {
        name: Rival(
            work,
            settings,
            "openTSNE",
            against,
            facts={"neighbours_kept": round(kept(points, work()), 4)},
        )
        for name, (work, settings, against) in works.items()
    }
    return measure(f"t-SNE of {COUNT:,} points", rivals, warm=False)
