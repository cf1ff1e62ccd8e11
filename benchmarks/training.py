"""How long is a training step of `acmr-paper`, and is our trainer slower than a plain loop?

Both train the same networks on the same random features (the sizes of Pascal Sentence with
MobileNetV2 and TF-IDF), turn by turn, in one thread and in as many as there are cores. The plain
loop is that of `plain_training.py`.

    python benchmarks/training.py
"""

from __future__ import annotations

import math
import os
from dataclasses import replace

import numpy as np
import torch
from plain_training import plain_loop
from turns import beside, record, rounded, turns

from cmr_hub.metrics.validation import validation_map
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.presets import PRESETS
from cmr_hub.training.trainer import train_projectors

PAIRS, IMAGE_DIM, TEXT_DIM, CLASSES = 800, 1280, 2400, 20
EPOCHS, ROUNDS = 5, 5
STUDY_STEP = 0.25  # seconds: the 2019 study's log, on its own machine


def features() -> PairedFeatures:
    """Random ones."""
    generator = np.random.default_rng(0)
    images = generator.random((PAIRS, IMAGE_DIM), dtype=np.float32)
    texts = generator.random((PAIRS, TEXT_DIM), dtype=np.float32)
    return PairedFeatures(images, texts, np.arange(PAIRS, dtype=np.int64) % CLASSES, CLASSES)


def ours(data: PairedFeatures) -> None:
    """On all pairs for a fixed number of epochs: nothing but steps is timed."""
    preset = replace(PRESETS["acmr-paper"], early_stopping=False, epochs=EPOCHS)
    train_projectors(TrainingSplits(data, data, refit=None), preset, 0, validation_map)


def main() -> None:
    data = features()
    tensors = [torch.from_numpy(array) for array in (data.images, data.texts, data.labels)]
    batch = PRESETS["acmr-paper"].batch_size
    steps = EPOCHS * math.ceil(PAIRS / batch)
    row: dict[str, object] = {"pairs": PAIRS, "batch": batch}
    for name, threads in (("one_thread", 1), ("all_threads", os.cpu_count() or 1)):
        torch.set_num_threads(threads)
        rivals = {"ours": lambda: ours(data), "plain": lambda: plain_loop(*tensors, EPOCHS)}
        times = turns(rivals, ROUNDS)
        found = beside(times["ours"], times["plain"], "plain PyTorch loop", steps)
        row[name] = {
            **found,
            "threads": threads,
            "study_step_over_ours": rounded(STUDY_STEP / found["seconds"]),
        }
        print(name, found, flush=True)
    record("training", row)


if __name__ == "__main__":
    main()
