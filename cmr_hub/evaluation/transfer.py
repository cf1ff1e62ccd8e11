"""A trained model on a dataset that it never saw."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.errors import CMRError
from cmr_hub.evaluation.embedded import untrained_adapter
from cmr_hub.evaluation.evaluate import RetrievalReport, evaluate_retrieval
from cmr_hub.evaluation.results import versions
from cmr_hub.models.zero_shot_comparison import starts_from_features

if TYPE_CHECKING:
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import Document, FloatArray, IntArray, JSONObject

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Transfer:
    """What is measured.

    Attributes:
        report: the figures.
        zero_shot: those of the features as they are, for a model that started from them.
        record: the same as a line for the results store; `trained_on` says on what.
    """

    report: RetrievalReport
    record: JSONObject
    zero_shot: RetrievalReport | None = None


def evaluate_transfer(
    model: CrossModalModel,
    dataset: PairDataset | FeatureDataset,
    split: str,
    cache: FeatureCache,
    *,
    progress: bool = False,
) -> Transfer:
    """Measures a model on one split of another dataset.

    With labels an item's sentences are one text, and what has its class is relevant. Without,
    every sentence is a text of its own and belongs to its picture alone: Recall@K of captions
    (Hodosh et al. 2013). A text of which the model knows no word is asked all the same and ranks
    by chance; the record counts them as `test_texts_without_known_word`. Items without a picture
    or without a text are left out.

    Args:
        model: with its encoders.
        dataset: pictures and sentences.
        split: of this dataset.
        cache: where features are kept.
        progress: show progress bars.

    Raises:
        CMRError: the model or the dataset has features only, or the split has no whole pair.
        UnknownNameError: no such split.
        ImageError: a picture cannot be read.
    """
    images, texts = model.image.encoder, model.text.encoder
    if isinstance(dataset, FeatureDataset) or images is None or texts is None:
        raise CMRError(
            "only a model with both encoders can be measured on another dataset, and only on one "
            "of pictures and sentences: features of different datasets have nothing in common"
        )
    started = time.perf_counter()
    part = dataset.split(split)
    rows = [
        row
        for row, (path, sentences) in enumerate(zip(part.images, part.sentences, strict=True))
        if path is not None and sentences
    ]
    if not rows:
        raise CMRError(f"the {split} split of {dataset.name} has no picture with a text")
    part = part.subset(np.array(rows))
    labelled = bool((part.labels >= 0).all())
    documents, owner = text_queries(part)
    unknown = sum(not texts.knows(document) for document in documents)
    if unknown:
        logger.warning(
            "%d of %d texts have no known word and rank by chance", unknown, len(documents)
        )
    paths = [path for path in part.images if path is not None]
    image_rows = cache.encode(images, paths, progress=progress)
    text_rows = cache.encode_texts(texts, documents, progress=progress)

    def measured(images: FloatArray, texts: FloatArray) -> RetrievalReport:
        labels = part.labels if labelled else None
        return evaluate_retrieval(images, texts, labels, text_owner=owner)

    report = measured(model.image.embed(image_rows), model.text.embed(text_rows))
    trained = model.training
    zero_shot = None
    if starts_from_features(trained):
        untrained = untrained_adapter(image_rows.shape[1])
        zero_shot = measured(untrained.embed(image_rows), untrained.embed(text_rows))
    described = ("preset", "objective", "settings", "text_options", "seed", "epochs")
    encoders = ("image_weights", "fine_tuned", "text_fine_tuned")
    record: JSONObject = {
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "classes": list(dataset.classes),
        "split": split,
        "trained_on": {key: trained.get(key) for key in ("dataset", "protocol")},
        "image_encoder": images.name,
        "text_encoder": texts.name,
        **{key: trained.get(key) for key in (*described, *encoders)},
        "pairs": {"train": 0, "validation": 0, "test": len(part)},
        "test_texts_without_known_word": unknown,
        "seconds": round(time.perf_counter() - started, 3),
        **report.to_dict(),
        **({} if zero_shot is None else {"zero_shot": zero_shot.to_dict()}),
        "versions": versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return Transfer(report, record, zero_shot)


def text_queries(part: PairDataset) -> tuple[list[Document], IntArray]:
    """What is asked as one text, and the row of the picture that each belongs to.

    With labels all sentences of an item, else each of its own.
    """
    if (part.labels >= 0).all():
        return list(part.sentences), np.arange(len(part))
    captions: list[Document] = [(text,) for sentences in part.sentences for text in sentences]
    return captions, np.repeat(np.arange(len(part)), [len(texts) for texts in part.sentences])
