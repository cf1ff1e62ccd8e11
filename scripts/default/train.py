"""How a release is trained: projectors for captions, on frozen encoders of our own.

The objective draws a picture to its own sentence (InfoNCE) and, where there is a label, to its
class; what is a pair, see `pair_rows`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.datasets.joined import source_names
from cmr_hub.errors import TrainingError
from cmr_hub.experiments.embedded import class_centroids
from cmr_hub.experiments.learning import learn
from cmr_hub.experiments.pairs import complete_pairs
from cmr_hub.experiments.results import versions
from cmr_hub.float16 import rounded_to_half
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower
from cmr_hub.training.presets import Preset
from scripts.default.canonical import CanonicalPart, with_canonical

if TYPE_CHECKING:
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder

SKETCH = Preset(
    name="sketch",
    # Sharp, so that pictures of one class can lie close together and still be told apart.
    objective={"infonce": {"temperature": 0.02}, "label": {"weight": 10.0}},
    image_hidden=(512,),
    text_hidden=(512,),
    dim=256,
    dropout=(0.1, 0.3),
    output="sphere",
    radius=5.0,
    learning_rate=5e-4,
    weight_decay=0.01,
    batch_size=512,
    epochs=12,
    patience=4,
    validation_fraction=0.05,
    rows="sentences",
)
"""How the small model of drawings is trained; `photos` is trained by the preset `captions`."""


def train_release(
    dataset: PairDataset,
    preset: Preset,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    cache: FeatureCache,
    *,
    canonical: CanonicalPart | None = None,
    seed: int = 0,
    progress: bool = False,
) -> CrossModalModel:
    """Trains on the whole of `dataset`.

    Args:
        dataset: training items, joined; items without a picture or a text are left out. Their ids
            start with the name of the dataset that they are from (see `joined`).
        preset: how to train; with early stopping a part of the items first chooses the number of
            epochs.
        image_encoder, text_encoder: fitted; they stay as they are.
        cache: where features are kept.
        canonical: a linear part to add to the trained projectors.
        seed: Random seed.
        progress: show bars.

    Raises:
        TrainingError: too few items, or none with a label.
        ImageError: a picture cannot be read.
    """
    started = time.perf_counter()
    whole = complete_pairs(dataset, preset)
    if isinstance(whole, FeatureDataset) or not (whole.labels >= 0).any():
        raise TrainingError("a release wants pictures, and some items with a label")
    dataset = whole
    learnt = learn(
        dataset,
        preset,
        seed,
        cache,
        image_encoder=image_encoder,
        text_encoder=text_encoder,
        progress=progress,
    )
    if not (isinstance(learnt.images, Projector) and isinstance(learnt.texts, Projector)):
        raise TrainingError("a release is a pair of projectors")
    images, texts = learnt.images, learnt.texts
    if canonical is not None:
        pairs, names = learnt.splits.final, source_names(dataset)
        images, texts = with_canonical(images, texts, pairs, names, canonical)
    for projector in (images, texts):
        with torch.no_grad():
            for value in projector.state_dict().values():
                value.copy_(torch.from_numpy(rounded_to_half(value.numpy())))
    return CrossModalModel(
        ImageTower(image_encoder, images),
        TextTower(text_encoder, texts),
        classes=dataset.classes,
        centroids=class_centroids(images, texts, learnt.splits.final),
        training={
            "dataset": dataset.name,
            "protocol": dataset.protocol,
            "items": len(dataset),
            "pairs": len(learnt.splits.final),
            "image_encoder": image_encoder.name,
            "text_encoder": text_encoder.name,
            "text_options": text_encoder.state()[0].get("options"),
            "preset": preset.name,
            "settings": preset.as_dict(),
            **({} if canonical is None else {"canonical": canonical.as_dict()}),
            "seed": seed,
            "epochs": learnt.epochs,
            "seconds": round(time.perf_counter() - started, 1),
            "versions": versions(),
        },
        history=learnt.history,
    )
