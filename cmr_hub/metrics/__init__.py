"""Retrieval metrics: average precision, recall, rankings, reports and the modality gap.

Example:
    >>> from cmr_hub import metrics
    >>> metrics.mean_average_precision([[1, 0]], [[1, 0], [0, 1]], ["dog"], ["dog", "cat"]).value
    1.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmr_hub.lazy_names import lazy_names

if TYPE_CHECKING:
    from cmr_hub.metrics.common_space import modality_gap, silhouette
    from cmr_hub.metrics.content_based import content_based_map
    from cmr_hub.metrics.ranking import rank
    from cmr_hub.metrics.report import DirectionReport, RetrievalReport, evaluate_retrieval
    from cmr_hub.metrics.retrieval import (
        MeanAveragePrecision,
        average_precision,
        classification_accuracy,
        interpolated_precision,
        mean_average_precision,
        ndcg_at_k,
        own_rank,
        per_class_map,
        precision_at_k,
        recall_at_k,
    )

__all__ = [
    "DirectionReport",
    "MeanAveragePrecision",
    "RetrievalReport",
    "average_precision",
    "classification_accuracy",
    "content_based_map",
    "evaluate_retrieval",
    "interpolated_precision",
    "mean_average_precision",
    "modality_gap",
    "ndcg_at_k",
    "own_rank",
    "per_class_map",
    "precision_at_k",
    "rank",
    "recall_at_k",
    "silhouette",
]

_MODULES = {
    "common_space": ("modality_gap", "silhouette"),
    "content_based": ("content_based_map",),
    "ranking": ("rank",),
    "report": ("DirectionReport", "RetrievalReport", "evaluate_retrieval"),
    "retrieval": (
        *("MeanAveragePrecision", "average_precision", "classification_accuracy"),
        *("interpolated_precision", "mean_average_precision", "ndcg_at_k", "own_rank"),
        *("per_class_map", "precision_at_k", "recall_at_k"),
    ),
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            name: f"{__name__}.{module}:{name}"
            for module, names in _MODULES.items()
            for name in names
        },
    )
