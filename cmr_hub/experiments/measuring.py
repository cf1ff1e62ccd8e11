"""Evaluate a split: by class, by single caption, and for each of several joined datasets."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.joined import parts
from cmr_hub.errors import CMRError
from cmr_hub.experiments.embedded import evaluate_embeddings
from cmr_hub.experiments.trec import write_trec
from cmr_hub.metrics.report import RetrievalReport, evaluate_retrieval

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cmr_hub.baselines.base import Embedder
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.models.centroids import ClassCentroids
    from cmr_hub.types import Document, FloatArray, JSONObject

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figures:
    """Figures of a split in a common space.

    Attributes:
        report: with labels, items of the query's class are relevant and all captions of an item
            are one text. Without labels, identical to `captions`.
        captions: each caption is a separate text, relevant only to its picture (Hodosh et
            al. 2013); for a picture, any of its captions is relevant. None for features.
        embeddings: (N, d) unit vectors of the pictures and of their texts; without labels, the
            texts are the first caption of each picture.
        unknown_texts: number of texts without a word in the encoder's vocabulary; they rank at
            chance level.
        by_dataset: figures by the name of the dataset; empty unless several were joined.
    """

    report: RetrievalReport
    captions: RetrievalReport | None
    embeddings: tuple[FloatArray, FloatArray]
    unknown_texts: int = 0
    by_dataset: dict[str, Figures] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.table()

    def to_dict(self) -> JSONObject:
        """Return JSON values: the flat report, plus `captions` and `by_dataset`."""
        record = self.report.to_dict()
        if self.captions is not None:
            record["captions"] = self.captions.captions()
        if self.by_dataset:
            record["by_dataset"] = {
                name: {"map_avg": figures.report.map_avg, "relevance": figures.report.relevance}
                | ({} if figures.captions is None else {"captions": figures.captions.captions()})
                for name, figures in self.by_dataset.items()
            }
        return record

    def table(self, zero_shot: RetrievalReport | None = None) -> str:
        """Return a plain-text table; for `zero_shot` see `RetrievalReport.table`."""
        if self.by_dataset:
            return "\n\n".join(
                f"{name}\n{figures.table()}" for name, figures in self.by_dataset.items()
            )
        by_class = self.report.relevance == "class"
        tables = [] if self.captions is None else [self.captions.caption_table()]
        if by_class or self.captions is None or zero_shot is not None:
            tables.append(self.report.table(zero_shot))
        return "\n\n".join(tables)


def asked_texts(part: PairDataset) -> list[Document]:
    """Return every text that is embedded when a split is evaluated."""
    singles = _single_captions(part)
    return [*part.sentences, *singles] if part.labelled.all() else singles


def _single_captions(part: PairDataset) -> list[Document]:
    return [(text,) for captions in part.sentences for text in captions]


def measure_split(
    images: Embedder,
    texts: Embedder,
    part: PairDataset | FeatureDataset,
    image_encoder: ImageEncoder | None,
    text_encoder: TextEncoder | None,
    cache: FeatureCache,
    *,
    centroids: ClassCentroids | None = None,
    trec: Path | None = None,
    progress: bool = False,
) -> Figures:
    """Embed a split and evaluate it.

    Args:
        images, texts: map features into the common space.
        part: a split whose items all have a picture and a text.
        image_encoder, text_encoder: encoders of pictures and captions; None for features.
        cache: cache of features.
        centroids: class centroids of the training pairs, if `part` has the same classes.
        trec: folder to write TREC files to; see `write_trec`.
        progress: show progress bars.

    Raises:
        CMRError: there are pictures and captions, but no encoders.
        ImageError: a picture cannot be read.
    """
    if isinstance(part, FeatureDataset):
        rows = images.embed(part.image_features), texts.embed(part.text_features)
        if trec is not None:
            given = part.labels if part.labelled.any() else None
            write_trec(trec, "pairs" if given is None else "class", *rows, part.ids, labels=given)
        return Figures(evaluate_embeddings(*rows, part.labels, centroids), None, rows)
    if image_encoder is None or text_encoder is None:
        raise CMRError("pictures and captions need an image encoder and a text encoder")
    encoder = text_encoder

    def embedded(documents: Sequence[Document]) -> FloatArray:
        return texts.embed(cache.encode_texts(encoder, documents, progress=progress))

    paths = [path for path in part.images if path is not None]
    image_vectors = images.embed(cache.encode(image_encoder, paths, progress=progress))
    singles = _single_captions(part)
    counts = [len(captions) for captions in part.sentences]
    owner = np.repeat(np.arange(len(part)), counts)
    caption_vectors = embedded(singles)
    captions = evaluate_retrieval(image_vectors, caption_vectors, None, text_owner=owner)
    if trec is not None:
        write_trec(trec, "captions", image_vectors, caption_vectors, part.ids, text_owner=owner)
    if part.labelled.all():
        documents: Sequence[Document] = part.sentences
        rows = image_vectors, embedded(documents)
        report = evaluate_embeddings(*rows, part.labels, centroids)
        if trec is not None:
            write_trec(trec, "class", *rows, part.ids, labels=part.labels)
    else:
        documents = singles
        rows = image_vectors, caption_vectors[np.cumsum(counts) - counts]
        report = captions
    unknown = sum(not text_encoder.knows(document) for document in documents)
    if unknown:
        logger.warning(
            "%d of %d texts have no known word and rank at chance level", unknown, len(documents)
        )
    found = Figures(report, captions, rows, unknown)
    datasets = parts(part)
    if len(datasets) < 2:
        return found
    return replace(
        found,
        by_dataset={
            each.name: measure_split(
                images, texts, each, image_encoder, text_encoder, cache, centroids=centroids
            )
            for each in datasets
        },
    )
