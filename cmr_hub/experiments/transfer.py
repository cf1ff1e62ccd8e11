"""Evaluate a trained model on another dataset."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.errors import CMRError
from cmr_hub.experiments.embedded import untrained_adapter
from cmr_hub.experiments.measuring import measure_split
from cmr_hub.experiments.pairs import complete_items, measured_items
from cmr_hub.experiments.results import versions
from cmr_hub.experiments.run_record import RunRecord
from cmr_hub.models.zero_shot_comparison import starts_from_features

if TYPE_CHECKING:
    from pathlib import Path

    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.experiments.measuring import Figures
    from cmr_hub.metrics.report import RetrievalReport
    from cmr_hub.models.cross_modal import CrossModalModel


@dataclass(frozen=True)
class Transfer:
    """The result of evaluating a model on another dataset.

    Attributes:
        figures: figures of the model.
        zero_shot: figures of the untrained features, for a model that started from them.
        record: the line for the results store; `trained_on` is the training dataset.
    """

    figures: Figures
    record: RunRecord
    zero_shot: RetrievalReport | None = None

    @property
    def report(self) -> RetrievalReport:
        """Return the figures, except those of single captions."""
        return self.figures.report

    def table(self) -> str:
        """Return the figures as plain text."""
        return self.figures.table(self.zero_shot)


def evaluate_transfer(
    model: CrossModalModel,
    dataset: PairDataset | FeatureDataset,
    split: str,
    cache: FeatureCache,
    *,
    trec: Path | None = None,
    progress: bool = False,
) -> Transfer:
    """Evaluate a model on a split of another dataset.

    Texts without a word in the model's vocabulary are included and rank at chance level; the record
    counts them as `test_texts_without_known_word`. Items without a picture or a text, and those
    that `measured_items` excludes, are left out; their number is logged.

    Args:
        model: a model with its encoders.
        dataset: a dataset of pictures and sentences.
        split: name of the split.
        cache: cache of features.
        trec: folder to write TREC files to; see `write_trec`.
        progress: show progress bars.

    Raises:
        CMRError: the model or the dataset has features only.
        TrainingError: the split has no complete pair.
        UnknownNameError: there is no such split.
        ImageError: a picture cannot be read.
    """
    images, texts = model.image.encoder, model.text.encoder
    if isinstance(dataset, FeatureDataset) or images is None or texts is None:
        raise CMRError(
            "only a model with both encoders can be evaluated on another dataset, and only on one "
            "of pictures and sentences: features of different datasets are not comparable"
        )
    started = time.perf_counter()
    part = measured_items(complete_items(dataset.split(split), labelled=False))
    figures = measure_split(
        model.image, model.text, part, images, texts, cache, trec=trec, progress=progress
    )
    trained = model.training
    zero_shot = None
    if starts_from_features(trained):
        untrained = untrained_adapter(images.dim)
        zero_shot = measure_split(untrained, untrained, part, images, texts, cache).report
    # The training of a pretrained model was not recorded.
    defaults = {"preset": "none", "objective": "none", "seed": 0, "epochs": 0}
    encoders = ("text_options", "image_weights", "fine_tuned", "text_fine_tuned")
    record = RunRecord.parse(
        {
            "dataset": dataset.name,
            "protocol": dataset.protocol,
            "classes": list(dataset.classes),
            "split": split,
            "trained_on": {key: trained.get(key) for key in ("dataset", "protocol")},
            "image_encoder": images.name,
            "text_encoder": texts.name,
            **{key: trained.get(key, default) for key, default in defaults.items()},
            **{key: trained.get(key) for key in encoders},
            "settings": trained.get("settings") or {},
            "pairs": {"train": 0, "validation": 0, "test": len(part)},
            "test_texts_without_known_word": figures.unknown_texts,
            "seconds": round(time.perf_counter() - started, 3),
            **figures.to_dict(),
            **({} if zero_shot is None else {"zero_shot": zero_shot.to_dict()}),
            "versions": versions(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    return Transfer(figures, record, zero_shot)
