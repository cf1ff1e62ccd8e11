"""Train a method on the training split of a dataset; the test split is not used."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import torch

from cmr_hub.baselines.base import Baseline
from cmr_hub.baselines.linear_expert import with_linear_experts
from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.encoders.texts.sentence import SentenceEncoder
from cmr_hub.errors import TrainingError
from cmr_hub.experiments.pairs import by_sentences, pair_rows, paired_features, training_splits
from cmr_hub.models.joining import with_class_names
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.finetune import ImageTail, view_activations
from cmr_hub.training.finetune_text import TextTail
from cmr_hub.training.presets import Preset
from cmr_hub.training.trainer import train_projectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmr_hub.baselines.base import Embedder
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.models.projector import Projector
    from cmr_hub.training.finetune import FineTuning
    from cmr_hub.training.finetune_text import TextFineTuning
    from cmr_hub.training.presets import LinearExpert
    from cmr_hub.training.snapshots import Snapshots
    from cmr_hub.training.trainer import ReportTo, TrainedProjectors
    from cmr_hub.types import FloatArray, JSONObject


@dataclass(frozen=True)
class Learnt:
    """The result of training a method.

    Attributes:
        images, texts: map features into the common space; projectors except for some baselines.
        settings: settings of the preset, or the settings chosen for a baseline by validation.
        history: one row per epoch; empty for a baseline.
        epochs: see `TrainedProjectors`.
        seconds: training time, including the time before a resumed run was interrupted.
        splits: the pairs for training and validation.
        image_encoder, text_encoder: the given encoders, or fine-tuned ones.
        run: see `TrainedProjectors`.
    """

    images: Embedder
    texts: Embedder
    settings: JSONObject
    history: list[dict[str, Any]]
    epochs: int
    seconds: float
    splits: TrainingSplits
    image_encoder: ImageEncoder | None
    text_encoder: TextEncoder | None
    run: str | None = None


def learn(
    dataset: PairDataset | FeatureDataset,
    method: Preset | Baseline,
    seed: int,
    cache: FeatureCache,
    *,
    image_encoder: ImageEncoder | None = None,
    text_encoder: TextEncoder | None = None,
    fine_tuning: FineTuning | None = None,
    text_fine_tuning: TextFineTuning | None = None,
    checkpoints: str | Path | None = None,
    snapshots: Snapshots | None = None,
    report_to: ReportTo | None = None,
    device: str = "cpu",
    progress: bool = False,
    refit: bool = True,
) -> Learnt:
    """Train on the training split of complete pairs, with encoders that are already fitted.

    For the arguments see `run_experiment`. Without `refit`, the method is not trained again with
    the validation pairs, so that settings can be scored on them.
    """
    features = feature_reader(
        dataset, method, image_encoder, text_encoder, cache, progress=progress
    )
    if fine_tuning is None and text_fine_tuning is None:
        splits = training_splits(dataset, method, seed, features)
        if not refit:
            splits = replace(splits, refit=None)
        if isinstance(method, Baseline):
            return _fit(method, splits, seed, image_encoder, text_encoder)
        trained = train_projectors(
            splits,
            method,
            seed,
            checkpoints=checkpoints,
            snapshots=snapshots,
            report_to=report_to,
            device=device,
            progress=progress,
        )
    else:
        if isinstance(method, Baseline):
            raise TrainingError(
                f"{method.name} is not trained in steps and cannot fine-tune an encoder"
            )
        if isinstance(dataset, FeatureDataset) or image_encoder is None or text_encoder is None:
            raise TrainingError("fine-tuning needs pictures and sentences, and encoders of both")
        trained, image_encoder, text_encoder = _fine_tune(
            dataset,
            method,
            seed,
            image_encoder,
            text_encoder,
            fine_tuning,
            text_fine_tuning,
            cache,
            checkpoints,
            report_to=report_to,
            device=device,
            progress=progress,
        )
        tuned = feature_reader(
            dataset, method, image_encoder, text_encoder, cache, progress=progress
        )
        splits = training_splits(dataset, method, seed, tuned)
    learnt = Learnt(
        trained.image_projector,
        trained.text_projector,
        method.as_dict(),
        trained.history,
        trained.epochs,
        sum(row["seconds"] for row in trained.history),
        splits,
        image_encoder,
        text_encoder,
        trained.run,
    )
    if method.class_names:
        learnt = _with_class_names(learnt, method.class_names, cache)
    return learnt if method.linear_expert is None else _with_experts(learnt, method.linear_expert)


def feature_reader(
    dataset: PairDataset | FeatureDataset,
    method: Preset | Baseline,
    image_encoder: ImageEncoder | None,
    text_encoder: TextEncoder | None,
    cache: FeatureCache,
    *,
    progress: bool = False,
) -> Callable[[PairDataset | FeatureDataset], PairedFeatures]:
    """Return a function that reads the pairs of a split as this method needs them."""

    def features(part: PairDataset | FeatureDataset) -> PairedFeatures:
        return paired_features(
            part,
            image_encoder,
            text_encoder,
            cache,
            sentences=by_sentences(dataset, method),
            label_weights=method.label_weights if isinstance(method, Preset) else None,
            views=method.views if isinstance(method, Preset) else 1,
            progress=progress,
        )

    return features


def _fit(
    method: Baseline,
    splits: TrainingSplits,
    seed: int,
    image_encoder: ImageEncoder | None,
    text_encoder: TextEncoder | None,
) -> Learnt:
    started = time.perf_counter()
    fitted = method.fit(splits, seed)
    return Learnt(
        fitted.images,
        fitted.texts,
        fitted.settings,
        [],
        0,
        time.perf_counter() - started,
        splits,
        image_encoder,
        text_encoder,
    )


def _with_class_names(learnt: Learnt, share: float, cache: FeatureCache) -> Learnt:
    names = () if learnt.image_encoder is None else learnt.image_encoder.class_names
    reader = learnt.text_encoder
    # Without a fingerprint the encoder was fitted here and knows only the words of the captions.
    if not names or reader is None or reader.fingerprint is None:
        return learnt
    rows = cache.encode_texts(reader, [(name,) for name in names])
    images, texts = with_class_names(
        cast("Projector", learnt.images),
        cast("Projector", learnt.texts),
        torch.from_numpy(rows),
        share,
    )
    return replace(learnt, images=images, texts=texts)


def _with_experts(learnt: Learnt, expert: LinearExpert) -> Learnt:
    started = time.perf_counter()
    images, texts = with_linear_experts(
        cast("Projector", learnt.images), cast("Projector", learnt.texts), learnt.splits, expert
    )
    seconds = learnt.seconds + time.perf_counter() - started
    return replace(learnt, images=images, texts=texts, seconds=seconds)


def _fine_tune(
    dataset: PairDataset,
    preset: Preset,
    seed: int,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    tuning: FineTuning | None,
    text_tuning: TextFineTuning | None,
    cache: FeatureCache,
    checkpoints: str | Path | None,
    *,
    report_to: ReportTo | None,
    device: str,
    progress: bool,
) -> tuple[TrainedProjectors, ImageEncoder, TextEncoder]:
    """Train projectors and the last part of one or both encoders; also return the new encoders."""
    sentences = None if text_tuning is None else _tunable(text_encoder)

    def inputs(part: PairDataset) -> PairedFeatures:
        paths = [path for path in part.images if path is not None]
        rows = pair_rows(part, text_encoder, by_sentences(dataset, preset), preset.label_weights)
        # Inputs of a tail are float16; the tail converts them to float32.
        if tuning is None:
            images = cache.encode(image_encoder, paths, progress=progress)
        else:
            views = view_activations(image_encoder, paths, tuning, seed, progress=progress)
            images = cast("FloatArray", views)
        if sentences is None or text_tuning is None:
            texts = cache.encode_texts(text_encoder, rows.documents, progress=progress)
        else:
            states = sentences.token_states(rows.documents, text_tuning.layers, progress=progress)
            texts = cast("FloatArray", states)
        return PairedFeatures(images, texts, rows.labels, len(part.classes), rows.captions)

    image_tail = text_tail = None
    if tuning is not None:
        image_tail = ImageTail(image_encoder.cut(tuning.blocks)[1], tuning.learning_rate)
    if sentences is not None and text_tuning is not None:
        layers = sentences.last_layers(text_tuning.layers)
        text_tail = TextTail(layers, text_tuning.learning_rate)
    splits = training_splits(dataset, preset, seed, inputs)
    trained = train_projectors(
        splits,
        preset,
        seed,
        image_tail=image_tail,
        text_tail=text_tail,
        checkpoints=checkpoints,
        report_to=report_to,
        device=device,
        progress=progress,
    )
    if trained.image_tail is not None:
        image_encoder = image_encoder.with_tail(trained.image_tail.blocks)
    if sentences is not None and trained.text_tail is not None:
        text_encoder = sentences.with_last_layers(trained.text_tail.layers)
    return trained, image_encoder, text_encoder


def _tunable(encoder: TextEncoder) -> SentenceEncoder:
    if isinstance(encoder, SentenceEncoder):
        return encoder
    raise TrainingError(
        f"the text encoder {encoder.name} has no layers to fine-tune; use 'sentence'"
    )
