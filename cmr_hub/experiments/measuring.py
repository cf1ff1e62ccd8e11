"""All figures of a split: by classes, by single captions, and of each dataset of several."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.joined import parts
from cmr_hub.errors import CMRError
from cmr_hub.experiments.embedded import evaluate_embeddings
from cmr_hub.metrics.report import RetrievalReport, evaluate_retrieval

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """What a split reaches in a common space.

    Attributes:
        report: with labels what has the query's class is relevant, and all captions of an item
            are one text. Without, the same as `captions`.
        captions: each caption a text of its own, which belongs to its picture alone (Hodosh et
            al. 2013); of a picture any of its captions counts. None for features, which have none.
        embeddings: (N, d) unit vectors of the pictures and of their texts; without labels of each
            picture's first caption.
        unknown_texts: how many texts have no word that the encoder knows; they rank by chance.
        by_dataset: of each of several datasets, by its name; empty for one alone.
    """

    report: RetrievalReport
    captions: RetrievalReport | None
    embeddings: tuple[FloatArray, FloatArray]
    unknown_texts: int = 0
    by_dataset: dict[str, Figures] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.table()

    def to_dict(self) -> JSONObject:
        """Ready for JSON: the report flat, beside it `captions` and `by_dataset`."""
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
        """As plain text, for people; `zero_shot` as of `RetrievalReport.table`."""
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
    """What is embedded as one text when a split is measured."""
    singles = _single_captions(part)
    return [*part.sentences, *singles] if (part.labels >= 0).all() else singles


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
    progress: bool = False,
) -> Figures:
    """Embeds a split and measures it.

    Args:
        images, texts: from feature rows into the common space.
        part: items that are whole.
        image_encoder, text_encoder: of pictures and captions; None for features.
        cache: where rows are kept.
        centroids: of the classes of the training pairs, where `part` has these classes.
        progress: show how far it is.

    Raises:
        CMRError: pictures and captions without encoders.
        ImageError: a picture cannot be read.
    """
    if isinstance(part, FeatureDataset):
        rows = images.embed(part.image_features), texts.embed(part.text_features)
        return Figures(evaluate_embeddings(*rows, part.labels, centroids), None, rows)
    if image_encoder is None or text_encoder is None:
        raise CMRError("pictures and captions are measured with encoders of both")
    encoder = text_encoder

    def embedded(documents: Sequence[Document]) -> FloatArray:
        return texts.embed(cache.encode_texts(encoder, documents, progress=progress))

    paths = [path for path in part.images if path is not None]
    shown = images.embed(cache.encode(image_encoder, paths, progress=progress))
    singles = _single_captions(part)
    counts = [len(captions) for captions in part.sentences]
    owner = np.repeat(np.arange(len(part)), counts)
    told = embedded(singles)
    captions = evaluate_retrieval(shown, told, None, text_owner=owner)
    if (part.labels >= 0).all():
        documents: Sequence[Document] = part.sentences
        rows = shown, embedded(documents)
        report = evaluate_embeddings(*rows, part.labels, centroids)
    else:
        documents = singles
        rows = shown, told[np.cumsum(counts) - counts]
        report = captions
    unknown = sum(not text_encoder.knows(document) for document in documents)
    if unknown:
        logger.warning(
            "%d of %d texts have no known word and rank by chance", unknown, len(documents)
        )
    found = Figures(report, captions, rows, unknown)
    several = parts(part)
    if len(several) < 2:
        return found
    return replace(
        found,
        by_dataset={
            each.name: measure_split(
                images, texts, each, image_encoder, text_encoder, cache, centroids=centroids
            )
            for each in several
        },
    )
