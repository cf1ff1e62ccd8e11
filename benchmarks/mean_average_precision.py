"""How long does MAP@all take, ranking included, beside those who compute it too?

    python benchmarks/mean_average_precision.py

As many queries as gallery items, 20 classes, vectors of 64 numbers. Every rival starts from the
vectors and must give the same figure.

- scikit-learn: `average_precision_score` for one query after the other;
- pytrec_eval: trec_eval's MAP, from dictionaries, which have to be made first;
- torchmetrics: `RetrievalMAP` over all pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from turns import beside, record, turns

from cmr_hub.metrics.retrieval import mean_average_precision

ROUNDS = 3
DIM, CLASSES = 64, 20
SIZES = (200, 500, 1_000, 2_000)
LAST = SIZES[-1]
ALONE = (5_000, 10_000)
"""Where the others take minutes or all memory."""


def drawn(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Queries, gallery, and the labels of each."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(CLASSES, DIM))
    rows, labels = [], []
    for _ in range(2):
        own = np.arange(count) % CLASSES
        labels.append(own)
        rows.append(centres[own] + 3 * generator.normal(size=(count, DIM)))
    return rows[0], rows[1], labels[0], labels[1]


def scores_of(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Cosine similarities."""
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, gallery)]
    return unit[0] @ unit[1].T


def by_scikit_learn(
    queries: np.ndarray, gallery: np.ndarray, asked: np.ndarray, given: np.ndarray
) -> float:
    from sklearn.metrics import average_precision_score

    scores = scores_of(queries, gallery)
    return float(
        np.mean(
            [
                average_precision_score(given == label, own)
                for label, own in zip(asked, scores, strict=True)
            ]
        )
    )


def by_pytrec_eval(
    queries: np.ndarray, gallery: np.ndarray, asked: np.ndarray, given: np.ndarray
) -> float:
    import pytrec_eval

    names = [f"d{at}" for at in range(len(gallery))]
    relevant = {
        label: dict.fromkeys((names[at] for at in np.flatnonzero(given == label)), 1)
        for label in np.unique(asked).tolist()
    }
    truth = {f"q{at}": relevant[label] for at, label in enumerate(asked.tolist())}
    run = {
        f"q{at}": dict(zip(names, own, strict=True))
        for at, own in enumerate(scores_of(queries, gallery).tolist())
    }
    found = pytrec_eval.RelevanceEvaluator(truth, {"map"}).evaluate(run)
    return float(np.mean([figures["map"] for figures in found.values()]))


def by_torchmetrics(
    queries: np.ndarray, gallery: np.ndarray, asked: np.ndarray, given: np.ndarray
) -> float:
    import torch

    from cmr_hub.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()  # torchmetrics imports torchvision
    from torchmetrics.retrieval import RetrievalMAP

    # What scores zero or less it takes for not found at all.
    scores = torch.from_numpy((1 + scores_of(queries, gallery)) / 2)
    relevance = torch.from_numpy(asked[:, None] == given)
    numbers = torch.arange(len(asked)).repeat_interleave(len(given))
    return float(RetrievalMAP()(scores.ravel(), relevance.ravel(), indexes=numbers))


PEERS = {
    "scikit-learn": by_scikit_learn,
    "pytrec_eval": by_pytrec_eval,
    "torchmetrics": by_torchmetrics,
}


def point(count: int, peers: dict[str, Callable[..., float]]) -> dict[str, object]:
    """Everybody's seconds with this number of queries and items."""
    data = drawn(count)
    ours = mean_average_precision(*data).value
    for name, peer in peers.items():
        assert math.isclose(peer(*data), ours, rel_tol=1e-5), name
    rivals: dict[str, Callable[[], object]] = {"ours": lambda: mean_average_precision(*data)}
    rivals |= {name: lambda peer=peer: peer(*data) for name, peer in peers.items()}
    times = turns(rivals, ROUNDS)
    return {name: beside(times["ours"], taken, name) for name, taken in times.items()}


def main() -> None:
    curve = []
    for count in SIZES + ALONE:
        found = point(count, PEERS if count <= LAST else {})
        seconds = {name: row["peer_seconds"] for name, row in found.items()}
        print(count, seconds, flush=True)
        curve.append({"queries": count, "seconds": seconds})
        if count == LAST:
            last = {name: row for name, row in found.items() if name != "ours"}
    record("mean-average-precision", {**last, "queries": LAST, "curve": curve})


if __name__ == "__main__":
    main()
