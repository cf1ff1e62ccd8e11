"""`acmr-paper` as a straightforward script: modules, Adam, a loop over shuffled batches, and the
losses written like their formulas.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmr_hub.training.presets import PRESETS


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, rows: Tensor, scale: float) -> Tensor:
        ctx.scale = scale  # type: ignore[attr-defined]
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * gradients[0], None  # type: ignore[attr-defined]


def plain_loop(images: Tensor, texts: Tensor, labels: Tensor, epochs: int, **options: bool) -> None:
    """Train on (N, d) features and (N,) labels, with these options of Adam."""
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

    image_net, text_net = mlp(images.shape[1]), mlp(texts.shape[1])
    classifier = nn.Linear(200, int(labels.max()) + 1)
    modality = nn.Sequential(
        nn.Linear(200, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 2)
    )
    parameters = [
        p for net in (image_net, text_net, classifier, modality) for p in net.parameters()
    ]
    optimizer = torch.optim.Adam(parameters, lr=preset.learning_rate, **options)
    steps = math.ceil(len(labels) / preset.batch_size)
    for epoch in range(epochs):
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
