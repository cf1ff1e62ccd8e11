"""Scores of validation pairs, by which epochs and settings are chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.metrics.ranking import ranked_chunks
from cmr_hub.metrics.relevance import is_labelled
from cmr_hub.metrics.retrieval import mean, mean_average_precision, recall_at_k

if TYPE_CHECKING:
    from cmr_hub.types import BoolArray, FloatArray, IntArray, LabelArray

_DEPTH = 10


def validation_map(images: FloatArray, texts: FloatArray, labels: LabelArray) -> float:
    """Return MAP@all averaged over both directions.

    Without any label, only the paired item is relevant, and MAP is the mean reciprocal rank.
    """
    if not is_labelled(labels).any():
        labels = np.arange(len(labels))
    return _map_of_both_directions(images, labels, texts, labels)


def caption_figures(
    images: FloatArray, sentences: FloatArray, owners: IntArray, labels: LabelArray
) -> dict[str, float]:
    """Compute retrieval scores between sentences and pictures.

    Args:
        images: (n, d) vectors.
        sentences: (m, d) vectors.
        owners: (m,) row of the picture of each sentence.
        labels: (n,) labels, -1 for none; or (n, C) rows of 0 and 1.

    Returns:
        `recall@1` and `recall@10` of finding the picture of a sentence among all pictures and, if
        there are labels, `map` of the labelled pictures and their sentences, averaged over both
        directions.
    """
    own = np.concatenate(
        [order == owners[rows, None] for rows, order in ranked_chunks(sentences, images)]
    )
    figures = {f"recall@{k}": mean(recall_at_k(own, k)) for k in (1, 10)}
    known = is_labelled(labels)
    if known.any():
        rows = known[owners]
        image_side = images[known], labels[known]
        text_side = sentences[rows], labels[owners[rows]]
        figures["map"] = _map_of_both_directions(*image_side, *text_side)
    return figures


def _map_of_both_directions(
    images: FloatArray, image_labels: LabelArray, texts: FloatArray, text_labels: LabelArray
) -> float:
    i2t = mean_average_precision(images, texts, image_labels, text_labels).value
    t2i = mean_average_precision(texts, images, text_labels, image_labels).value
    return (i2t + t2i) / 2


class CaptionScore:
    """Retrieval score of validation captions.

    The score of a dataset is the share of captions whose picture is among the first ten hits, or
    among the first tenth for fewer than a hundred pictures. With labels, it is the mean of this
    share and the class MAP of both directions, with all captions of an item as one text. The result
    is the mean over the datasets.

    Args:
        items: (N,) item of each pair.
        whole: (N,) whether the text of the pair is all captions of the item together.
        sources: (N,) index of the dataset of each pair.
    """

    def __init__(self, items: IntArray, whole: BoolArray, sources: IntArray) -> None:
        self._parts = []
        for source in np.unique(sources):
            rows = np.flatnonzero(sources == source)
            single, documents = rows[~whole[rows]], rows[whole[rows]]
            _, first, owner = np.unique(items[single], return_index=True, return_inverse=True)
            self._parts.append((single, single[first], owner, documents))

    def __call__(self, images: FloatArray, texts: FloatArray, labels: LabelArray) -> float:
        """Return the score of (N, d) unit vectors of the pairs and their labels."""
        figures = []
        for single, gallery, owner, documents in self._parts:
            parts = []
            if len(single):
                depth = min(_DEPTH, -(-len(gallery) // _DEPTH))
                scores = texts[single] @ images[gallery].T
                own = scores[np.arange(len(owner)), owner]
                parts.append(float(((scores > own[:, None]).sum(axis=1) < depth).mean()))
            if len(documents):
                own_labels = labels[documents]
                parts.append(
                    _map_of_both_directions(
                        images[documents], own_labels, texts[documents], own_labels
                    )
                )
            figures.append(np.mean(parts))
        return float(np.mean(figures))
