"""Train a release: projectors for captions, on frozen encoders.

The objective matches each picture with its sentence (InfoNCE) and, if there is a label, with its
class. For the training pairs see `pair_rows`.
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
    # A low temperature separates pictures of one class although they are close together.
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
"""Settings of the model `sketch`; `photos` is trained with the preset `captions`."""


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
    """Train on all items of `dataset`.

    Args:
        dataset: joined training items; items without a picture or a text are left out. Their ids
            begin with the name of their dataset (see `joined`).
        preset: training settings; with early stopping, the number of epochs is first chosen on a
            part of the items.
        image_encoder, text_encoder: fitted encoders, which are not trained.
        cache: cache of features.
        canonical: a linear part to add to the trained projectors.
        seed: random seed.
        progress: show progress bars.

    Raises:
        TrainingError: there are too few items, or none has a label.
        ImageError: a picture cannot be read.
    """
    started = time.perf_counter()
    complete = complete_pairs(dataset, preset)
    if isinstance(complete, FeatureDataset) or not (complete.labels >= 0).any():
        raise TrainingError("a release needs pictures, and some items with a label")
    dataset = complete
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
        raise TrainingError("a release must be a pair of projectors")
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
