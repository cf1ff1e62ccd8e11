"""How long is a training step of `acmr-paper`, and is our trainer slower than a plain loop?

Both train the same networks on the same random features (the sizes of Pascal Sentence with
MobileNetV2 and TF-IDF), turn by turn, in one thread and in as many as there are cores. The plain
loop is what one writes first: modules, Adam, a DataLoader-free loop over shuffled batches, the
losses as their formulas stand.

    python benchmarks/training.py
"""

from __future__ import annotations

import math
import os
import statistics
import time
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmr_hub.evaluation.experiment import validation_map
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.presets import PRESETS
from cmr_hub.training.trainer import train_projectors

PAIRS, IMAGE_DIM, TEXT_DIM, CLASSES = 800, 1280, 2400, 20
EPOCHS, ROUNDS = 5, 5
STUDY_STEP = 0.25  # seconds: the 2019 study's log, on its own machine


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, rows: Tensor, scale: float) -> Tensor:
        ctx.scale = scale  # type: ignore[attr-defined]
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * gradients[0], None  # type: ignore[attr-defined]


def plain_loop(images: Tensor, texts: Tensor, labels: Tensor) -> None:
    """`acmr-paper` as a straightforward script."""
    preset = PRESETS["acmr-paper"]
    drop_in, drop_hidden = preset.dropout

    def mlp(in_dim: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Dropout(drop_in),
            nn.Linear(in_dim, 512),
            nn.Tanh(),
            nn.Dropout(drop_hidden),
            nn.Linear(512, 200),
        )

    image_net, text_net = mlp(IMAGE_DIM), mlp(TEXT_DIM)
    classifier = nn.Linear(200, CLASSES)
    modality = nn.Sequential(
        nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 2)
    )
    parameters = [
        p for net in (image_net, text_net, classifier, modality) for p in net.parameters()
    ]
    optimizer = torch.optim.Adam(parameters, lr=preset.learning_rate)
    steps = math.ceil(len(labels) / preset.batch_size)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(labels))
        for step in range(steps):
            batch = order[step * preset.batch_size : (step + 1) * preset.batch_size]
            y = labels[batch]
            v = F.normalize(image_net(images[batch])) * preset.radius
            w = F.normalize(text_net(texts[batch])) * preset.radius
            label = F.cross_entropy(classifier(v), y) + F.cross_entropy(classifier(w), y)
            distance = 2 - 2 * F.normalize(v) @ F.normalize(w).T
            same = y[:, None] == y
            hinges = []
            for rows in (distance, distance.T):
                positive = torch.multinomial(same.float(), 1)
                negative = torch.multinomial((~same).float(), 1)
                hinges.append(F.relu(0.3 + rows.gather(1, positive) - rows.gather(1, negative)))
            triplet = torch.cat(hinges).mean()
            progress = (epoch + step / steps) / preset.epochs
            scale = 2 / (1 + math.exp(-10 * progress)) - 1
            logits = modality(_Reverse.apply(torch.cat([v, w]), scale))
            kinds = torch.arange(2).repeat_interleave(len(batch))
            loss = 0.5 * label + triplet + 0.1 * F.cross_entropy(logits, kinds)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main() -> None:
    generator = np.random.default_rng(0)
    images = generator.random((PAIRS, IMAGE_DIM), dtype=np.float32)
    texts = generator.random((PAIRS, TEXT_DIM), dtype=np.float32)
    labels = np.arange(PAIRS, dtype=np.int64) % CLASSES
    data = PairedFeatures(images, texts, labels, CLASSES)
    # Trained on all pairs for a fixed number of epochs: nothing but steps is timed.
    preset = replace(PRESETS["acmr-paper"], early_stopping=False, epochs=EPOCHS)
    splits = TrainingSplits(data, data, refit=None)
    tensors = torch.from_numpy(images), torch.from_numpy(texts), torch.from_numpy(labels)
    steps = EPOCHS * math.ceil(PAIRS / preset.batch_size)
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        ours, plain = [], []
        for _ in range(ROUNDS + 1):
            started = time.perf_counter()
            train_projectors(splits, preset, 0, validation_map)
            between = time.perf_counter()
            plain_loop(*tensors)
            ours.append((between - started) / steps)
            plain.append((time.perf_counter() - between) / steps)
        ours, plain = ours[1:], plain[1:]  # the first round warms up
        step = statistics.median(ours)
        ratios = [b / a for a, b in zip(ours, plain, strict=True)]
        print(
            f"threads: {threads}; our step (B = {preset.batch_size}): {1000 * step:.1f} ms, "
            f"the 2019 study's step / ours: {STUDY_STEP / step:.0f}, plain loop / ours: "
            f"{statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
