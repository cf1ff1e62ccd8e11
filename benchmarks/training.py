"""Time of a training step of `acmr-paper`, compared with a plain loop.

Both train the same networks on the same random features, with the sizes of Pascal Sentence with
MobileNetV2 and TF-IDF. The plain loop is that of `plain_training.py`, with each variant of Adam.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from plain_training import plain_loop
from rows import Rival, Row, best, measure

from cmr_hub.metrics.validation import validation_map
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.presets import PRESETS
from cmr_hub.training.trainer import train_projectors

PAIRS, IMAGE_DIM, TEXT_DIM, CLASSES, EPOCHS = 800, 1280, 2400, 20, 5
WAYS: dict[str, dict[str, bool]] = {
    "Adam": {},
    "Adam(foreach=True)": {"foreach": True},
    "Adam(fused=True)": {"fused": True},
}


def features() -> PairedFeatures:
    """Return random features."""
    generator = np.random.default_rng(0)
    images = generator.random((PAIRS, IMAGE_DIM), dtype=np.float32)
    texts = generator.random((PAIRS, TEXT_DIM), dtype=np.float32)
    return PairedFeatures(images, texts, np.arange(PAIRS, dtype=np.int64) % CLASSES, CLASSES)


def ours(data: PairedFeatures) -> None:
    """Train on all pairs for a fixed number of epochs, so that only steps are timed."""
    preset = replace(PRESETS["acmr-paper"], early_stopping=False, epochs=EPOCHS)
    train_projectors(TrainingSplits(data, data, refit=None), preset, 0, validation_map)


def training(threads: int) -> Row:
    """Measure a step; 0 means all threads."""
    torch.set_num_threads(threads or torch.get_num_threads())
    data = features()
    tensors = [torch.from_numpy(array) for array in (data.images, data.texts, data.labels)]
    steps = EPOCHS * math.ceil(PAIRS / PRESETS["acmr-paper"].batch_size)
    ways = {name: partial(plain_loop, *tensors, EPOCHS, **way) for name, way in WAYS.items()}
    name, tried = best(ways, steps)
    rivals = {
        "ours": Rival(partial(ours, data), "as it comes", against=None),
        "PyTorch loop": Rival(ways[name], name, "torch", tried=tried),
    }
    how = "one thread" if threads else "all threads"
    return measure(f"a training step, {how}", rivals, steps, threads=torch.get_num_threads())
