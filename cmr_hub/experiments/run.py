"""Run an experiment: compute features, train, evaluate the test split, and create the record."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmr_hub.baselines.base import Baseline
from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.texts.tokens import words
from cmr_hub.errors import TrainingError
from cmr_hub.experiments.embedded import ZeroShot, class_centroids, untrained_adapter
from cmr_hub.experiments.learning import feature_reader, learn
from cmr_hub.experiments.measuring import Figures, measure_split
from cmr_hub.experiments.methods import refuse_without_labels
from cmr_hub.experiments.pairs import (
    complete_pairs,
    measured_items,
    paired_features,
    training_splits,
)
from cmr_hub.experiments.results import versions
from cmr_hub.experiments.run_record import RunRecord
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower
from cmr_hub.models.zero_shot_comparison import against_zero_shot
from cmr_hub.training.data import validation_score
from cmr_hub.training.presets import Preset
from cmr_hub.training.snapshots import Snapshots

if TYPE_CHECKING:
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.experiments.learning import Learnt
    from cmr_hub.metrics.report import RetrievalReport
    from cmr_hub.training.finetune import FineTuning
    from cmr_hub.training.finetune_text import TextFineTuning
    from cmr_hub.training.snapshots import Stages
    from cmr_hub.training.trainer import ReportTo
    from cmr_hub.types import FloatArray, JSONObject

logger = logging.getLogger(__name__)

_MOST_UNKNOWN = 0.5
"""Share of unknown words above which a warning is logged."""


@dataclass(frozen=True)
class Experiment:
    """The result of a run.

    Attributes:
        model: the trained model; None for a baseline that is not a pair of projectors.
        figures: figures of the test split.
        record: the line for the results store.
        history: one row per epoch; empty for a baseline.
        test: the test split, in the order of the rows of `figures.embeddings`.
        stages: test embeddings by epoch, including epoch 0 and the last; empty without snapshots.
        zero_shot: figures of the features before a residual preset was trained; otherwise None.
    """

    model: CrossModalModel | None
    figures: Figures
    record: RunRecord
    history: list[dict[str, Any]]
    test: PairDataset | FeatureDataset
    stages: Stages
    zero_shot: ZeroShot | None = None

    def summary(self) -> str:
        """Return the figures as plain text, compared with zero-shot figures if available."""
        if self.zero_shot is None:
            return self.figures.table()
        comparison = against_zero_shot(self.record.to_dict())
        return f"{self.figures.table(self.zero_shot.report)}\n{comparison}"

    @property
    def report(self) -> RetrievalReport:
        """Return the figures of the test split, except those of single captions."""
        return self.figures.report

    @property
    def test_embeddings(self) -> tuple[FloatArray, FloatArray]:
        """Return (N, d) unit vectors of the test images and of their texts; see `Figures`."""
        return self.figures.embeddings


def run_experiment(
    dataset: PairDataset | FeatureDataset,
    method: Preset | Baseline,
    seed: int,
    *,
    image_encoder: ImageEncoder | None = None,
    text_encoder: TextEncoder | None = None,
    fine_tuning: FineTuning | None = None,
    text_fine_tuning: TextFineTuning | None = None,
    cache: FeatureCache | None = None,
    checkpoints: str | Path | None = None,
    snapshots: bool = False,
    report_to: ReportTo | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> Experiment:
    """Train on the training split and evaluate once on the test split.

    In a dataset without classes, each caption is a pair and only the paired item is relevant.

    The text encoder is fitted on training texts only. Epochs and settings are chosen on the
    validation split of the protocol or, if it has none, on a stratified part of the training
    pairs; the method is then trained again on all training pairs.

    Args:
        dataset: a dataset with the splits of its protocol.
        method: a preset or a baseline.
        seed: random seed, also of the validation part.
        image_encoder, text_encoder: required for a PairDataset; the text encoder is fitted here.
        fine_tuning: also train the last blocks of the image encoder; the model gets a new
            encoder. None keeps the encoder frozen.
        text_fine_tuning: the same for the last layers of the sentence encoder.
        cache: cache of features. Default: the user's cache.
        checkpoints: directory for checkpoints, to resume the run; see `train_projectors`.
        snapshots: also embed the test split at a few epochs, for display only.
        report_to: called with the figures of every epoch and finally with those of the test split,
            named `test/…`; see `ReportTo`.
        device: device to train projectors on; encoders stay on their own device.
        progress: show progress bars.

    Raises:
        TrainingError: an encoder is missing, the training split has too few labelled pairs, there
            is nothing to fine-tune, the method needs labels, or the preset is residual and the
            encoders do not share a space.
        UnknownNameError: the protocol has no training or no test split.
    """
    refuse_without_labels(dataset, method)
    dataset = complete_pairs(dataset, method)
    train, test = dataset.split("train"), measured_items(dataset.split("test"))
    if not isinstance(train, FeatureDataset) and text_encoder is not None:
        text_encoder.fit(train.sentences)
        _warn_of_unknown_words(dataset, text_encoder)
    cache = cache or FeatureCache()
    pretrained = image_encoder
    frozen = fine_tuning is None and text_fine_tuning is None
    if snapshots and not (frozen and isinstance(method, Preset)):
        raise TrainingError("snapshots need a preset and frozen encoders: do not fine-tune")
    zero_shot = None
    if isinstance(method, Preset) and method.residual:
        _refuse_two_spaces(method, train, image_encoder, text_encoder)
        zero_shot = _zero_shot(dataset, test, method, seed, image_encoder, text_encoder, cache)
    recorder = None
    if snapshots:
        snapshot_items = _first_texts(test)
        recorder = Snapshots(
            paired_features(snapshot_items, image_encoder, text_encoder, cache, progress=progress),
            test.ids,
            checkpoints,
        )
    learnt = learn(
        dataset,
        method,
        seed,
        cache,
        image_encoder=image_encoder,
        text_encoder=text_encoder,
        fine_tuning=fine_tuning,
        text_fine_tuning=text_fine_tuning,
        checkpoints=checkpoints,
        snapshots=recorder,
        report_to=report_to,
        device=device,
        progress=progress,
    )
    image_encoder, text_encoder = learnt.image_encoder, learnt.text_encoder
    centroids = class_centroids(learnt.images, learnt.texts, learnt.splits.final)
    figures = measure_split(
        learnt.images,
        learnt.texts,
        test,
        image_encoder,
        text_encoder,
        cache,
        centroids=centroids,
        progress=progress,
    )
    if report_to is not None:
        measured = figures.report.to_dict().items()
        test_figures = {f"test/{key}": value for key, value in measured if isinstance(value, float)}
        report_to(test_figures, len(learnt.history))
    record = RunRecord.parse(
        {
            "dataset": dataset.name,
            "protocol": dataset.protocol,
            "classes": list(dataset.classes),
            "image_encoder": "precomputed" if image_encoder is None else image_encoder.name,
            "image_weights": None if pretrained is None else pretrained.weights_sha256,
            "fine_tuned": None if fine_tuning is None else fine_tuning.as_dict(),
            "text_encoder": "precomputed" if text_encoder is None else text_encoder.name,
            "text_options": None
            if text_encoder is None
            else text_encoder.state()[0].get("options"),
            "text_fine_tuned": None if text_fine_tuning is None else text_fine_tuning.as_dict(),
            **_method_record(method, learnt, seed),
            "pairs": {
                "train": len(learnt.splits.final),
                "validation": len(learnt.splits.validation),
                "test": len(test),
            },
            "test_texts_without_known_word": figures.unknown_texts,
            **figures.to_dict(),
            **({} if zero_shot is None else {"zero_shot": zero_shot.as_dict()}),
            "versions": versions(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
    model = None
    if isinstance(learnt.images, Projector) and isinstance(learnt.texts, Projector):
        model = CrossModalModel(
            ImageTower(image_encoder, learnt.images),
            TextTower(text_encoder, learnt.texts),
            classes=dataset.classes,
            centroids=centroids,
            training=record.to_dict(),
            history=learnt.history,
        )
    # Early stopping returns to an earlier epoch; later snapshots do not belong to the model.
    stages = {} if recorder is None else recorder.until(learnt.epochs, figures.embeddings)
    return Experiment(model, figures, record, learnt.history, test, stages, zero_shot)


def _refuse_two_spaces(
    preset: Preset,
    train: PairDataset | FeatureDataset,
    image_encoder: ImageEncoder | None,
    text_encoder: TextEncoder | None,
) -> None:
    """Check that the features can share a space, before they are computed."""
    if isinstance(train, FeatureDataset):
        dims = train.image_features.shape[1], train.text_features.shape[1]
        preset.common_dim(*dims, len(train.classes))
    elif image_encoder is not None and text_encoder is not None:
        preset.common_dim(image_encoder.dim, text_encoder.dim, len(train.classes))


def _warn_of_unknown_words(dataset: PairDataset | FeatureDataset, encoder: TextEncoder) -> None:
    """Log a warning if the encoder does not know most words of the held-out sentences.

    These are the sentences of the validation split or, if there is none, of the test split.
    """
    held_out = dataset.split("validation" if "validation" in dataset.split_names else "test")
    if isinstance(held_out, FeatureDataset):
        return
    texts = [text for document in held_out.sentences for text in document]
    count = sum(len(set(words(text))) for text in texts)
    unknown = sum(len(encoder.unknown_words(text)) for text in texts)
    if unknown > _MOST_UNKNOWN * count:
        logger.warning(
            "%s knows only %.0f%% of the words of the held-out sentences: words that it was not "
            "trained on cannot be searched for. Add training sentences, or use a pretrained text "
            "encoder for their language",
            encoder.name,
            100 * (1 - unknown / count),
        )


def _zero_shot(
    dataset: PairDataset | FeatureDataset,
    test: PairDataset | FeatureDataset,
    preset: Preset,
    seed: int,
    image_encoder: ImageEncoder | None,
    text_encoder: TextEncoder | None,
    cache: FeatureCache,
) -> ZeroShot:
    """Evaluate features that share a space, embedded by an untrained adapter."""
    features = feature_reader(dataset, preset, image_encoder, text_encoder, cache)
    splits = training_splits(dataset, preset, seed, features)
    untrained = untrained_adapter(splits.final.texts.shape[1])
    centroids = class_centroids(untrained, untrained, splits.final)
    report = measure_split(
        untrained,
        untrained,
        test,
        image_encoder,
        text_encoder,
        cache,
        centroids=centroids,
    ).report
    held_out = splits.validation.plain()
    rows = untrained.embed(held_out.images), untrained.embed(held_out.texts)
    return ZeroShot(report, validation_score(splits.validation)(*rows, held_out.labels))


def _first_texts(test: PairDataset | FeatureDataset) -> PairDataset | FeatureDataset:
    """Without labels, keep only the first caption of each picture, as `Figures.embeddings` does."""
    if isinstance(test, FeatureDataset) or test.labelled.all():
        return test
    return replace(test, sentences=tuple(captions[:1] for captions in test.sentences))


def _method_record(method: Preset | Baseline, learnt: Learnt, seed: int) -> JSONObject:
    """Return the fields of the record that describe the method and its training."""
    if isinstance(method, Preset):
        objective, settings = objective_name(method), method.as_dict()
    else:
        objective, settings = "closed form", learnt.settings
    return {
        "preset": method.name,
        "objective": objective,
        "settings": settings,
        "seed": seed,
        "run": learnt.run,
        "epochs": learnt.epochs,
        "seconds": round(learnt.seconds, 3),
    }


def objective_name(preset: Preset) -> str:
    """Return the weighted terms as a short string: `0.5 label + 1 triplet`."""
    return " + ".join(
        f"{term.get('weight', 1.0):g} {name}" for name, term in preset.objective.items()
    )
