"""How well pictures and the sentences that were written of them find each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.evaluation.metrics import mean, mean_average_precision, recall_at_k
from cmr_hub.evaluation.ranking import ranked_chunks

if TYPE_CHECKING:
    from cmr_hub.types import FloatArray, IntArray


def caption_figures(
    images: FloatArray, sentences: FloatArray, owners: IntArray, labels: IntArray
) -> dict[str, float]:
    """How well sentences and pictures find each other.

    Args:
        images: (n, d).
        sentences: (m, d).
        owners: (m,) the picture of each sentence.
        labels: (n,), -1 for none.

    Returns:
        `recall@1` and `recall@10` of sentences that look for their picture among all; where
        there are labels `map`, of those pictures and their sentences both ways, averaged.
    """
    own = np.concatenate(
        [order == owners[rows, None] for rows, order in ranked_chunks(sentences, images)]
    )
    figures = {f"recall@{k}": mean(recall_at_k(own, k)) for k in (1, 10)}
    known = labels >= 0
    if known.any():
        told = known[owners]
        shown, said = images[known], sentences[told]
        shown_labels, said_labels = labels[known], labels[owners[told]]
        there = mean_average_precision(shown, said, shown_labels, said_labels).value
        back = mean_average_precision(said, shown, said_labels, shown_labels).value
        figures["map"] = (there + back) / 2
    return figures
