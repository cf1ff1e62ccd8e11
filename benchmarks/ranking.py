"""Time of MAP@all, including the ranking, compared with other libraries.

The number of queries equals that of gallery items, with 20 classes and vectors of 64 dimensions.
Every rival starts from the vectors and must return the same figure.

- PyTorch: four lines, one sorted matrix;
- scikit-learn: `average_precision_score` for each query;
- pytrec_eval: trec_eval's MAP, from dictionaries, which must be built first;
- torchmetrics: `RetrievalMAP` over all pairs.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from rows import Rival, Row, measure

from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.metrics.retrieval import mean_average_precision

DIM, CLASSES, COUNT = 64, 20, 2_000


def drawn(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return queries, gallery, and the labels of each."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(CLASSES, DIM))
    rows, labels = [], []
    for _ in range(2):
        own = np.arange(count) % CLASSES
        labels.append(own)
        rows.append(centres[own] + 3 * generator.normal(size=(count, DIM)))
    return rows[0], rows[1], labels[0], labels[1]


def scores_of(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Return cosine similarities."""
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
    ensure_torchvision()  # torchmetrics imports torchvision
    from torchmetrics.retrieval import RetrievalMAP

    # It counts items with a score of zero or less as not retrieved.
    scores = torch.from_numpy((1 + scores_of(queries, gallery)) / 2)
    relevance = torch.from_numpy(asked[:, None] == given)
    numbers = torch.arange(len(asked)).repeat_interleave(len(given))
    return float(RetrievalMAP()(scores.ravel(), relevance.ravel(), indexes=numbers))


def by_torch(
    queries: np.ndarray, gallery: np.ndarray, asked: np.ndarray, given: np.ndarray
) -> float:
    with torch.inference_mode():
        scores = torch.from_numpy(scores_of(queries, gallery)).float()
        labels = torch.from_numpy(given)[scores.argsort(1, descending=True)]
        relevant = (labels == torch.from_numpy(asked)[:, None]).float()
        precision = relevant.cumsum(1) / torch.arange(1, len(given) + 1)
        return float(((precision * relevant).sum(1) / relevant.sum(1)).mean())


def ranking(threads: int) -> Row:
    """Measure MAP@all; 0 means all threads."""
    torch.set_num_threads(threads or torch.get_num_threads())
    data = drawn(COUNT)
    peers = {"PyTorch": (by_torch, "argsort and cumsum, inference mode", "torch")}
    if not threads:
        peers |= {
            "torchmetrics": (by_torchmetrics, "RetrievalMAP", "torchmetrics"),
            "pytrec_eval": (by_pytrec_eval, "map", "pytrec_eval-terrier"),
            "scikit-learn": (by_scikit_learn, "average_precision_score", "scikit-learn"),
        }
    expected = mean_average_precision(*data).value
    rivals = {"ours": Rival(partial(mean_average_precision, *data), against=None)}
    for name, (peer, settings, package) in peers.items():
        assert math.isclose(peer(*data), expected, rel_tol=1e-5), name
        rivals[name] = Rival(partial(peer, *data), settings, package)
    how = "one thread" if threads else "all threads"
    task = f"MAP@all of {COUNT:,} queries and items, {how}"
    return measure(task, rivals, threads=torch.get_num_threads())
