"""t-SNE of 10,000 vectors of 256 numbers: the package's against scikit-learn's as it comes.

Both get the same rows in the same run, one after the other. A fast map must not be a worse one: of
each point's 15 nearest neighbours the share that is among the 15 nearest in the map is measured
too. `python benchmarks/tsne.py [--points N]`
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from cmr_hub.experiments.benchmarks import record_benchmark
from cmr_hub.projections.methods import ProjectionOptions, project_stages

DIMENSIONS, CLASSES, NEIGHBOURS = 256, 20, 15


def rows(count: int) -> np.ndarray:
    """Unit vectors around 20 centres, as a common space of 20 classes has them."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(CLASSES, DIMENSIONS))
    labels = generator.integers(0, CLASSES, count)
    drawn = centres[labels] + 1.5 * generator.normal(size=(count, DIMENSIONS))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def timed(run: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Seconds by the clock, and what came out."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def kept(high: np.ndarray, low: np.ndarray) -> float:
    """The share of the nearest neighbours that are the nearest in the map too."""
    sample = np.random.default_rng(1).choice(len(high), min(1_000, len(high)), replace=False)
    found = [
        NearestNeighbors(n_neighbors=NEIGHBOURS + 1)
        .fit(space)
        .kneighbors(space[sample], return_distance=False)[:, 1:]
        for space in (high, low)
    ]
    shares = [len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(*found, strict=True)]
    return float(np.mean(shares))


def main() -> None:
    """Prints and records the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=10_000)
    count = parser.parse_args().points
    points = rows(count)
    options = ProjectionOptions(method="tsne", metric="euclidean")
    project_stages([points[:500]], options)  # what is compiled at the first use
    ours, our_map = timed(lambda: project_stages([points], options)[0])
    peer, their_map = timed(lambda: TSNE(random_state=0).fit_transform(points))
    row = {
        "points": count,
        "dimensions": DIMENSIONS,
        "seconds": round(ours, 2),
        "seconds_scikit_learn": round(peer, 2),
        "ratio": round(peer / ours, 2),
        "neighbours_kept": round(kept(points, our_map), 4),
        "neighbours_kept_scikit_learn": round(kept(points, their_map), 4),
        "load": round(os.getloadavg()[0], 1),
    }
    for name, value in row.items():
        print(f"{name:<30}{value}")
    record_benchmark("tsne", row)


if __name__ == "__main__":
    main()
