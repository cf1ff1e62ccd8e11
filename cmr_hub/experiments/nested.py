"""Choose a method's settings inside the training part of a split (nested selection)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.experiments.learning import learn
from cmr_hub.experiments.pairs import complete_pairs
from cmr_hub.training.data import validation_score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cmr_hub.baselines.base import Baseline
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.training.presets import Preset
    from cmr_hub.types import JSONObject


def choose(
    dataset: PairDataset | FeatureDataset,
    candidates: Sequence[Preset | Baseline],
    seed: int,
    cache: FeatureCache,
    checkpoints: Path,
    *,
    image_encoder: ImageEncoder | None = None,
    text_encoder: TextEncoder | None = None,
) -> tuple[int, JSONObject]:
    """Train every candidate without the validation pairs, and score it on them.

    The test split is not used. The validation pairs are the same for all candidates, and are those
    on which `run_experiment` chooses the number of epochs.

    Args:
        dataset: a dataset with the splits of its protocol.
        candidates: presets with different settings, or a baseline, which searches its own settings.
        seed: random seed, also of the validation part.
        cache: cache of features.
        checkpoints: folder of checkpoints; `run_experiment` resumes candidate k from the subfolder
            `k`.
        image_encoder, text_encoder: see `run_experiment`.

    Returns:
        The index of the best candidate, the first one in case of a tie, and fields of the record.
    """
    started = time.perf_counter()
    known = dataset.subset(dataset.splits != "test")
    train = known.split("train")
    if text_encoder is not None and not isinstance(train, FeatureDataset):
        text_encoder.fit(train.sentences)
    scored: list[JSONObject] = []
    for number, method in enumerate(candidates):
        learnt = learn(
            complete_pairs(known, method),
            method,
            seed,
            cache,
            image_encoder=image_encoder,
            text_encoder=text_encoder,
            checkpoints=checkpoints / str(number),
            refit=False,
        )
        held_out = learnt.splits.validation.plain()
        rows = learnt.images.embed(held_out.images), learnt.texts.embed(held_out.texts)
        score = validation_score(learnt.splits.validation)(*rows, held_out.labels)
        scored.append(
            {"settings": learnt.settings, "epochs": learnt.epochs, "validation_map": score}
        )
    best = max(range(len(scored)), key=lambda number: scored[number]["validation_map"])
    seconds = round(time.perf_counter() - started, 3)
    return best, {"candidates": scored, "chosen": best, "seconds": seconds}
