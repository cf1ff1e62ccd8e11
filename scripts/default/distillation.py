"""Distillation: train a small network from random weights to predict the features of a large one.

No labels are used. The targets are the teacher's features of each view and of each quarter of it,
and its class probabilities (Hinton et al. 2015, arXiv 1503.02531; Romero et al. 2015, FitNets,
arXiv 1412.6550).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.errors import TrainingError
from scripts.default.augmentation import resized, varied
from scripts.default.epochs import Run, Schedule
from scripts.default.held_out import held_out
from scripts.default.precision import low_precision
from scripts.default.views import CELLS, GRID, Views

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.types import FloatArray, ImageSource, IntArray

_CHUNK = 64  # batch size without gradients


@dataclass(frozen=True)
class Distillation(Schedule):
    """Settings of the distillation, in addition to a `Schedule`.

    Args:
        cells: weight of the features of the quarters, relative to those of the whole view.
        logits: weight of the class probabilities.
        temperature: temperature T of the class probabilities.
        mix: share of the pictures of a batch in which one or two quarters are replaced by those of
            another picture.
    """

    epochs: int = 180
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 2.0
    sizes: tuple[tuple[int, float], ...] = ((64, 0.3), (96, 0.55), (128, 0.15))
    validate_every: int = 5
    cells: float = 0.5
    logits: float = 0.3
    temperature: float = 1.0
    mix: float = 0.5


@dataclass(frozen=True)
class Pictures:
    """Photographs for distillation, some of which are held out to monitor it.

    Attributes:
        images: N pictures, all from training splits.
        labels: (N,) int64 classes, -1 for none; used for evaluation only.
        held_out: (N,) bool.
    """

    images: tuple[ImageSource, ...]
    labels: IntArray
    held_out: npt.NDArray[np.bool_]


def training_pictures(
    datasets: Sequence[PairDataset], seed: int, *, unlabelled: float = 0.05, labelled: float = 0.2
) -> Pictures:
    """Return the pictures of the training splits, some of which are held out.

    Args:
        datasets: datasets with a training split; their other splits are not used.
        seed: random seed of the held-out pictures.
        unlabelled: share to hold out of the pictures without a label.
        labelled: share to hold out of each class.

    Raises:
        UnknownNameError: a dataset has no training split.
    """
    images: list[ImageSource] = []
    labels: list[IntArray] = []
    chosen: list[npt.NDArray[np.bool_]] = []
    first_class = 0
    for dataset in datasets:
        part = dataset.split("train")
        part = part.subset(np.array([image is not None for image in part.images]))
        generator = np.random.default_rng((seed, len(images)))
        own = part.single_labels
        chosen.append(held_out(own, generator, unlabelled=unlabelled, labelled=labelled))
        images += [image for image in part.images if image is not None]
        labels.append(np.where(own < 0, -1, own + first_class))
        first_class += len(part.classes)
    return Pictures(tuple(images), np.concatenate(labels), np.concatenate(chosen))


@dataclass(frozen=True)
class Distilled:
    """The result of distillation.

    Attributes:
        encoder: the trained student.
        projection: linear map from its features to the teacher's standardised features: "weight"
            (D, d) and "bias" (D,).
        history: one row per epoch: `epoch` from 1, `size`, `learning_rate`, `loss` and its parts
            `features`, `cells`, `logits`, `seconds` of CPU time; every few epochs also
            `held_out_cosine`, `held_out_explained`, `held_out_agreement` and, if there are labels,
            `held_out_probe`; see `measure`.
    """

    encoder: CompactEncoder
    projection: dict[str, Tensor]
    history: list[dict[str, Any]]


class Targets:
    """The teacher's features, standardised to mean 0 and deviation 1.

    Args:
        targets: (N, V, CELLS, D) features of the training pictures.
        classifier: (K, D + 1) classifier of the teacher.
    """

    def __init__(self, targets: Tensor, classifier: Tensor) -> None:
        whole = targets.float().mean(2).flatten(0, 1)
        self.mean, self.whole_std = whole.mean(0), whole.std(0).clamp_min(1e-6)
        spread = (targets[:, 0].float() - self.mean).square().mean((0, 1)).sqrt()
        self.cell_std = spread.clamp_min(1e-6)
        self.classifier = classifier

    def standardised(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Standardise (B, CELLS, D) features, as (B, D) of the whole view and (B, CELLS, D)."""
        whole = (cells.mean(1) - self.mean) / self.whole_std
        return whole, (cells - self.mean) / self.cell_std

    def logits(self, whole: Tensor) -> Tensor:
        """Return the (B, K) logits of (B, D) standardised features of the whole view."""
        features = whole * self.whole_std + self.mean
        return F.linear(features, self.classifier[:, :-1], self.classifier[:, -1])


def distillation_loss(
    whole: Tensor, cells: Tensor, taught: Tensor, targets: Targets, settings: Distillation
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the loss of a batch and its parts.

    L = mean (z − t)² + c · mean (z_cell − t_cell)² + λ T² KL(softmax(l_t / T) ‖ softmax(l_z / T))

    with z, t the student's and teacher's standardised features, l their logits under the
    teacher's classifier, and c, λ and T `cells`, `logits` and `temperature` of the settings.

    Args:
        whole: (B, D) standardised features of whole views, from the student.
        cells: (B, CELLS, D) standardised features of their quarters, from the student.
        taught: (B, CELLS, D) features from the teacher, not standardised.
        targets: the standardisation.
        settings: weights and temperature.
    """
    whole_target, cell_target = targets.standardised(taught)
    student = targets.logits(whole).float() / settings.temperature
    teacher = targets.logits(whole_target).float() / settings.temperature
    divergence = F.kl_div(
        F.log_softmax(student, 1), F.log_softmax(teacher, 1), log_target=True, reduction="batchmean"
    )
    parts = {
        "features": F.mse_loss(whole, whole_target),
        "cells": F.mse_loss(cells, cell_target),
        "logits": settings.temperature**2 * divergence,
    }
    total = parts["features"] + settings.cells * parts["cells"] + settings.logits * parts["logits"]
    return total, parts


def augment(pixels: Tensor, taught: Tensor, size: int, mix: float) -> tuple[Tensor, Tensor]:
    """Augment a batch of views together with the teacher's features.

    Quarters are replaced by those of another view of the batch (CutMix, Yun et al. 2019, arXiv
    1905.04899, along the teacher's cells, so that each cell keeps its own target); half of the
    views are mirrored; all are shifted, resized, and changed in brightness, contrast and colour.
    Random numbers come from torch's generator.

    Args:
        pixels: (B, S, S, 3) uint8.
        taught: (B, CELLS, D) features from the teacher.
        size: input size of the student.
        mix: share of the views with replaced quarters.

    Returns:
        (B, 3, size, size) float32, normalised, and (B, CELLS, D).
    """
    rows, side = len(pixels), pixels.shape[1]
    pixels, taught = pixels.clone(), taught.clone()
    foreign = _QUARTERS[torch.randint(len(_QUARTERS), (rows,))] & (torch.rand(rows, 1) < mix)
    others, half = pixels.roll(1, 0), side // GRID
    taught[foreign] = taught.roll(1, 0)[foreign]
    for cell in range(CELLS):
        here, down, across = foreign[:, cell], cell // GRID * half, cell % GRID * half
        square = (here, slice(down, down + half), slice(across, across + half))
        pixels[square] = others[square]
    mirrored = torch.rand(rows) < 0.5
    pixels[mirrored] = pixels[mirrored].flip(2)
    taught[mirrored] = taught[mirrored][:, _MIRRORED]
    return varied(pixels, size), taught


# Sets of quarters (top left, top right, bottom left, bottom right) that may be replaced.
_QUARTERS = torch.tensor(
    [
        [cell in group for cell in range(CELLS)]
        for group in ({0}, {1}, {2}, {3}, {0, 1}, {2, 3}, {0, 2}, {1, 3})
    ]
)
_MIRRORED = [1, 0, 3, 2]


class _Student(nn.Module):
    """The encoder's network and a linear map to the teacher's features."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.network = CompactEncoder.build()
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.projection = nn.Linear(CompactEncoder.dim, dim)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, 3, H, W) pixels to (B, D) features of the whole view and (B, CELLS, D)."""
        *body, head = self.network.children()
        for block in (*body, next(head.children())):  # all layers except the final pooling
            pixels = block(pixels)
        cells = F.adaptive_avg_pool2d(pixels, GRID).flatten(2).transpose(1, 2)
        both = torch.cat([pixels.mean((2, 3))[:, None], cells], dim=1)
        found = self.projection(both).float()
        return found[:, 0], found[:, 1:]


def distill(
    views: Views,
    pictures: Pictures,
    classifier: Tensor,
    settings: Distillation,
    seed: int,
    *,
    checkpoints: str | Path | None = None,
    save: Callable[[Distilled], None] | None = None,
    progress: bool = False,
) -> Distilled:
    """Train a compact encoder from random weights to predict the teacher's features.

    The random numbers of every epoch depend only on (seed, epoch), so that a resumed run ends with
    the same bits as an uninterrupted one, on the same machine with the same number of threads.

    Args:
        views: views of `pictures.images`, in their order.
        pictures: held-out pictures, and labels for evaluation.
        classifier: (K, D + 1) classifier of the teacher.
        settings: training settings.
        seed: random seed of weights, order, views and augmentation.
        checkpoints: directory of checkpoints, from which the run is resumed.
        save: called with the current result after each evaluation, and at the end.
        progress: show a progress bar.

    Raises:
        TrainingError: there is nothing to train on, the loss is not finite, or a checkpoint is
            damaged or belongs to another run.
    """
    if len(views) != len(pictures.images):
        raise TrainingError(f"{len(views)} rows of views for {len(pictures.images)} pictures")
    if np.count_nonzero(~pictures.held_out) < 2:
        raise TrainingError("distillation needs at least two pictures that are not held out")
    with torch.random.fork_rng(devices=[]):
        run = _Run(views, pictures, classifier, settings, seed, checkpoints)
        run.train(save, progress=progress)
    return run.result()


class _Run(Run[Distilled]):
    name = "distill"

    def __init__(
        self,
        views: Views,
        pictures: Pictures,
        classifier: Tensor,
        settings: Distillation,
        seed: int,
        checkpoints: str | Path | None,
    ) -> None:
        self.views, self.pictures, self.settings = views, pictures, settings
        rows = torch.from_numpy(np.flatnonzero(~pictures.held_out))
        self.targets = Targets(views.targets[rows], classifier)
        torch.manual_seed(seed)
        self.student = _Student(views.targets.shape[-1])
        super().__init__({"student": self.student}, settings, seed, rows, checkpoints)

    def loss(self, batch: Tensor, size: int, done: float) -> tuple[Tensor, dict[str, Tensor]]:
        chosen = torch.randint(self.views.pixels.shape[1], (len(batch),))
        taught = self.views.targets[batch, chosen].float()
        pixels, taught = augment(self.views.pixels[batch, chosen], taught, size, self.settings.mix)
        with low_precision():
            whole, cells = self.student(pixels)
            return distillation_loss(whole, cells, taught, self.targets, self.settings)

    @torch.no_grad()
    def measure(self, size: int) -> dict[str, float]:
        """Evaluate the student on the held-out pictures, uncropped, at `size` pixels.

        `held_out_cosine`: mean cosine of the student's and the teacher's standardised features;
        `held_out_explained`: share of the teacher's variance explained, 1 − Σ (z − t)² / Σ t²;
        `held_out_agreement`: share of pictures with the same most probable class;
        `held_out_probe`: accuracy on the labelled held-out pictures of a logistic regression on
        the student's features, fitted on the labelled training pictures.
        """
        out = torch.from_numpy(np.flatnonzero(self.pictures.held_out))
        if not len(out):
            return {}
        taught, _ = self.targets.standardised(self.views.targets[out, 0].float())
        found = self._features(out, size)
        seen = self.student.projection(found)
        same = self.targets.logits(seen).argmax(1) == self.targets.logits(taught).argmax(1)
        figures = {
            "held_out_cosine": float(F.cosine_similarity(seen, taught).mean()),
            "held_out_explained": 1 - float((seen - taught).square().sum() / taught.square().sum()),
            "held_out_agreement": float(same.float().mean()),
        }
        labels = self.pictures.labels
        known = labels >= 0
        if known[out.numpy()].any() and known[self.rows.numpy()].any():
            fit = torch.from_numpy(np.flatnonzero(known & ~self.pictures.held_out))
            test = torch.from_numpy(np.flatnonzero(known & self.pictures.held_out))
            figures["held_out_probe"] = probe_accuracy(
                self._features(fit, size).numpy(),
                labels[fit.numpy()],
                self._features(test, size).numpy(),
                labels[test.numpy()],
            )
        return figures

    def _features(self, rows: Tensor, size: int) -> Tensor:
        """Return the (n, d) features of the uncropped pictures."""
        self.student.eval()
        found = []
        for chunk in rows.split(_CHUNK):
            pixels = resized(self.views.pixels[chunk, 0], size)
            found.append(self.student.network(pixels))
        return torch.cat(found)

    def result(self) -> Distilled:
        state = {name: value.clone() for name, value in self.student.network.state_dict().items()}
        projection = {k: v.clone() for k, v in self.student.projection.state_dict().items()}
        return Distilled(CompactEncoder(state, "file"), projection, self.progress.history)

    def facts(self) -> list[Any]:
        return [
            self.settings.as_dict(),
            self.seed,
            list(self.views.keys),
            list(self.views.pixels.shape),
            self.pictures.held_out.tolist(),
            sha256_of_arrays({"classifier": self.targets.classifier.numpy()}),
        ]


def probe_accuracy(
    fit: FloatArray, fit_labels: IntArray, test: FloatArray, test_labels: IntArray
) -> float:
    """Return the accuracy of a logistic regression on standardised features, C = 0.01."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    return float(model.fit(fit, fit_labels).score(test, test_labels))
