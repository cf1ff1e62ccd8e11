"""One run, whole: features, training, test figures, and the record of it all."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cmr_hub.baselines.base import Baseline
from cmr_hub.baselines.linear_expert import with_linear_experts
from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.texts.sentence import SentenceEncoder
from cmr_hub.errors import TrainingError
from cmr_hub.evaluation.embedded import ZeroShot, measure, validation_map
from cmr_hub.evaluation.pairs import complete_pairs, paired_features, training_splits
from cmr_hub.evaluation.results import versions
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower
from cmr_hub.models.zero_shot_comparison import against_zero_shot
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.finetune import ImageTail, view_activations
from cmr_hub.training.finetune_text import TextTail
from cmr_hub.training.presets import Preset
from cmr_hub.training.snapshots import Snapshots
from cmr_hub.training.trainer import TrainedProjectors, train_projectors

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Embedder
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.evaluation.evaluate import RetrievalReport
    from cmr_hub.training.finetune import FineTuning
    from cmr_hub.training.finetune_text import TextFineTuning
    from cmr_hub.training.presets import LinearExpert
    from cmr_hub.training.snapshots import Stages
    from cmr_hub.types import FloatArray, JSONObject

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """What a run leaves.

    Attributes:
        model: to be saved and searched with; None for a baseline that is no pair of projectors.
        report: its figures on the test split.
        record: the line for the results store.
        history: one row per epoch; empty for a baseline.
        test_embeddings: (N, d) unit vectors of the test images and of their texts.
        test: the test split, in the order of these rows.
        stages: the same by epoch, before training and at its end among them; empty unless asked
            for.
        zero_shot: what the features reached before a residual preset was trained; else None.
    """

    model: CrossModalModel | None
    report: RetrievalReport
    record: JSONObject
    history: list[dict[str, Any]]
    test_embeddings: tuple[FloatArray, FloatArray]
    test: PairDataset | FeatureDataset
    stages: Stages
    zero_shot: ZeroShot | None = None

    def summary(self) -> str:
        """The figures as plain text, beside zero-shot where there is such, and what was added."""
        if self.zero_shot is None:
            return self.report.table()
        return f"{self.report.table(self.zero_shot.report)}\n{against_zero_shot(self.record)}"


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
    device: str = "cpu",
    progress: bool = False,
) -> Experiment:
    """Trains on the training split and measures once on the test split.

    In a dataset without classes only the own pair is relevant.

    The text encoder is fitted on training texts only. Epochs and settings are chosen on the
    protocol's validation split or, where it has none, on a stratified part of the training
    pairs; then the method learns again from all of these.

    Args:
        dataset: with the splits of its protocol.
        method: a preset to train by, or a baseline.
        seed: of everything random, the validation part included.
        image_encoder, text_encoder: needed for a PairDataset; the text encoder is fitted here.
        fine_tuning: train the last blocks of the image encoder too; the model's encoder is then
            a new one. None leaves it as it is.
        text_fine_tuning: the last layers of the sentence encoder likewise.
        cache: where image features are kept; the default cache if None.
        checkpoints: a directory that makes the run resumable; see `train_projectors`.
        snapshots: embed the test split at a few epochs too, to look at; nothing is chosen by it.
        device: where projectors are trained; encoders are where they were put.
        progress: show progress bars.

    Raises:
        TrainingError: an encoder is missing, the training split has too few labelled pairs, there
            is nothing to fine-tune, the method cannot do without labels, or it is residual and
            the encoders do not share a space.
        UnknownNameError: the protocol has no training or no test split.
    """
    dataset = complete_pairs(dataset)
    if isinstance(method, Baseline) and not dataset.classes:
        raise TrainingError(f"{dataset.name} has no classes: {method.name} is not fitted on it")
    train, test = dataset.split("train"), dataset.split("test")
    if not isinstance(train, FeatureDataset) and text_encoder is not None:
        text_encoder.fit(train.sentences)
    cache = cache or FeatureCache()
    pretrained = image_encoder

    def features(part: PairDataset | FeatureDataset) -> PairedFeatures:
        return paired_features(part, image_encoder, text_encoder, cache, progress=progress)

    frozen = fine_tuning is None and text_fine_tuning is None
    if snapshots and not (frozen and isinstance(method, Preset)):
        raise TrainingError("snapshots are kept of projectors that are trained alone, by epochs")
    zero_shot = None
    if isinstance(method, Preset) and method.residual:
        _refuse_two_spaces(method, train, image_encoder, text_encoder)
        zero_shot = ZeroShot.measure(
            training_splits(dataset, method, seed, features), features(test)
        )
    watch = Snapshots(features(test), test.ids, checkpoints) if snapshots else None
    if frozen:
        splits = training_splits(dataset, method, seed, features)
        fitted = _fit(method, splits, seed, checkpoints, watch, device=device, progress=progress)
    else:
        if isinstance(dataset, FeatureDataset) or image_encoder is None or text_encoder is None:
            raise TrainingError("fine-tuning needs pictures and sentences, and encoders of both")
        fitted, image_encoder, text_encoder = _fine_tune(
            dataset,
            method,
            seed,
            image_encoder,
            text_encoder,
            fine_tuning,
            text_fine_tuning,
            cache,
            checkpoints,
            device=device,
            progress=progress,
        )
        splits = training_splits(dataset, method, seed, features)
    if isinstance(method, Preset) and method.linear_expert is not None:
        fitted = _with_experts(fitted, splits, method.linear_expert)
    measured = measure(fitted.images, fitted.texts, splits.final, features(test))
    report, embeddings = measured.report, measured.embeddings
    record: JSONObject = {
        "dataset": dataset.name,
        "protocol": dataset.protocol,
        "classes": list(dataset.classes),
        "image_encoder": "precomputed" if image_encoder is None else image_encoder.name,
        "image_weights": None if pretrained is None else pretrained.weights_sha256,
        "fine_tuned": None if fine_tuning is None else fine_tuning.as_dict(),
        "text_encoder": "precomputed" if text_encoder is None else text_encoder.name,
        "text_options": None if text_encoder is None else text_encoder.state()[0].get("options"),
        "text_fine_tuned": None if text_fine_tuning is None else text_fine_tuning.as_dict(),
        **_method_record(method, fitted, seed),
        "pairs": {
            "train": len(splits.final),
            "validation": len(splits.validation),
            "test": len(test),
        },
        "test_texts_without_known_word": _count_unknown(test, text_encoder),
        **report.to_dict(),
        **({} if zero_shot is None else {"zero_shot": zero_shot.as_dict()}),
        "versions": versions(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    model = None
    if isinstance(fitted.images, Projector) and isinstance(fitted.texts, Projector):
        model = CrossModalModel(
            ImageTower(image_encoder, fitted.images),
            TextTower(text_encoder, fitted.texts),
            classes=dataset.classes,
            centroids=measured.centroids,
            training=record,
            history=fitted.history,
        )
    # Early stopping goes back to an earlier epoch: what came after it is not of this model.
    stages = {} if watch is None else watch.until(fitted.epochs, embeddings)
    return Experiment(model, report, record, fitted.history, embeddings, test, stages, zero_shot)


@dataclass(frozen=True)
class _Fitted:
    images: Embedder
    texts: Embedder
    settings: JSONObject
    history: list[dict[str, Any]]
    epochs: int
    seconds: float
    run: str | None = None


def _refuse_two_spaces(
    preset: Preset,
    train: PairDataset | FeatureDataset,
    image_encoder: ImageEncoder | None,
    text_encoder: TextEncoder | None,
) -> None:
    """Checks that features can share a space before any are computed, which may take long."""
    if isinstance(train, FeatureDataset):
        dims = train.image_features.shape[1], train.text_features.shape[1]
        preset.common_dim(*dims, len(train.classes))
    elif image_encoder is not None and text_encoder is not None:
        preset.common_dim(image_encoder.dim, text_encoder.dim, len(train.classes))


def _count_unknown(test: PairDataset | FeatureDataset, text_encoder: TextEncoder | None) -> int:
    """How many test texts have no word that the encoder knows; they rank by chance."""
    if isinstance(test, FeatureDataset) or text_encoder is None:
        return 0
    unknown = sum(not text_encoder.knows(document) for document in test.sentences)
    if unknown:
        logger.warning("%d test texts have no known word and rank by chance", unknown)
    return unknown


def _method_record(method: Preset | Baseline, fitted: _Fitted, seed: int) -> JSONObject:
    """What was trained, how and for how long."""
    if isinstance(method, Preset):
        objective, settings = objective_name(method), method.as_dict()
    else:
        objective, settings = "closed form", fitted.settings
    return {
        "preset": method.name,
        "objective": objective,
        "settings": settings,
        "seed": seed,
        "run": fitted.run,
        "epochs": fitted.epochs,
        "seconds": round(fitted.seconds, 3),
    }


def _fit(
    method: Preset | Baseline,
    splits: TrainingSplits,
    seed: int,
    checkpoints: str | Path | None,
    snapshots: Snapshots | None,
    *,
    device: str,
    progress: bool,
) -> _Fitted:
    if isinstance(method, Baseline):
        started = time.perf_counter()
        fitted = method.fit(splits, seed, validation_map)
        seconds = time.perf_counter() - started
        return _Fitted(
            fitted.images, fitted.texts, fitted.settings, history=[], epochs=0, seconds=seconds
        )
    trained = train_projectors(
        splits,
        method,
        seed,
        validation_map,
        checkpoints=checkpoints,
        device=device,
        snapshots=snapshots,
        progress=progress,
    )
    return _of_preset(trained, method)


def _of_preset(trained: TrainedProjectors, preset: Preset) -> _Fitted:
    return _Fitted(
        trained.image_projector,
        trained.text_projector,
        preset.as_dict(),
        trained.history,
        trained.epochs,
        # Of a resumed run too, all of it.
        seconds=sum(row["seconds"] for row in trained.history),
        run=trained.run,
    )


def _with_experts(fitted: _Fitted, splits: TrainingSplits, expert: LinearExpert) -> _Fitted:
    started = time.perf_counter()
    images, texts = with_linear_experts(
        cast("Projector", fitted.images), cast("Projector", fitted.texts), splits, expert
    )
    seconds = fitted.seconds + time.perf_counter() - started
    return replace(fitted, images=images, texts=texts, seconds=seconds)


def _fine_tune(
    dataset: PairDataset,
    method: Preset | Baseline,
    seed: int,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    tuning: FineTuning | None,
    text_tuning: TextFineTuning | None,
    cache: FeatureCache,
    checkpoints: str | Path | None,
    *,
    device: str,
    progress: bool,
) -> tuple[_Fitted, ImageEncoder, TextEncoder]:
    """Trains projectors and the last part of one or both encoders, and gives the new encoders."""
    if isinstance(method, Baseline):
        raise TrainingError(f"{method.name} is not trained in steps: it fine-tunes no encoder")
    sentences = None if text_tuning is None else _tunable(text_encoder)

    def inputs(part: PairDataset) -> PairedFeatures:
        paths = [path for path in part.images if path is not None]
        # What a tail takes is float16, for it to turn into float32.
        if tuning is None:
            images = cache.encode(image_encoder, paths, progress=progress)
        else:
            views = view_activations(image_encoder, paths, tuning, seed, progress=progress)
            images = cast("FloatArray", views)
        if sentences is None or text_tuning is None:
            texts = cache.encode_texts(text_encoder, part.sentences, progress=progress)
        else:
            states = sentences.token_states(part.sentences, text_tuning.layers, progress=progress)
            texts = cast("FloatArray", states)
        return PairedFeatures(images, texts, part.labels, len(part.classes))

    image_tail = text_tail = None
    if tuning is not None:
        image_tail = ImageTail(image_encoder.cut(tuning.blocks)[1], tuning.learning_rate)
    if sentences is not None and text_tuning is not None:
        layers = sentences.last_layers(text_tuning.layers)
        text_tail = TextTail(layers, text_tuning.learning_rate)
    trained = train_projectors(
        training_splits(dataset, method, seed, inputs),
        method,
        seed,
        validation_map,
        image_tail=image_tail,
        text_tail=text_tail,
        checkpoints=checkpoints,
        device=device,
        progress=progress,
    )
    if trained.image_tail is not None:
        image_encoder = image_encoder.with_tail(trained.image_tail.blocks)
    if sentences is not None and trained.text_tail is not None:
        text_encoder = sentences.with_last_layers(trained.text_tail.layers)
    return _of_preset(trained, method), image_encoder, text_encoder


def _tunable(encoder: TextEncoder) -> SentenceEncoder:
    if isinstance(encoder, SentenceEncoder):
        return encoder
    raise TrainingError(
        f"the text encoder {encoder.name} has no layers to fine-tune; take 'sentence'"
    )


def objective_name(preset: Preset) -> str:
    """The weighted terms as a short string: `0.5 label + 1 triplet`."""
    return " + ".join(
        f"{term.get('weight', 1.0):g} {name}" for name, term in preset.objective.items()
    )
