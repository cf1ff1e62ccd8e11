"""Train two projectors with an objective, and choose the number of epochs by validation.

Optionally fine-tune the last blocks of an image encoder and the last layers of a sentence encoder.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.errors import TrainingError
from cmr_hub.losses.objective import build_objective
from cmr_hub.models.joining import beside, with_one_scale
from cmr_hub.models.projector import InputScaling, Projector
from cmr_hub.progress import Meter
from cmr_hub.training.checkpoint import (
    Progress,
    joined,
    parted,
    read_checkpoint,
    write_checkpoint,
)
from cmr_hub.training.data import validation_score
from cmr_hub.training.threads import torch_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cmr_hub.models.projection import Output
    from cmr_hub.training.data import PairedFeatures, Score, TrainingSplits
    from cmr_hub.training.finetune import ImageTail
    from cmr_hub.training.finetune_text import TextTail
    from cmr_hub.training.presets import Preset
    from cmr_hub.training.snapshots import Snapshots
    from cmr_hub.types import FloatArray

ReportTo: TypeAlias = "Callable[[dict[str, float], int], object]"
"""Function of the figures of an epoch, for example `{"final/loss": .3}`, and its number over all
phases, such as `wandb.log` and `mlflow.log_metrics`."""

Tails: TypeAlias = "tuple[ImageTail | None, TextTail | None]"

_LEAST_RATE = 0.01  # minimum share of the learning rate, so that a warm-up does not start at zero
_CHECKPOINT_SECONDS = 5.0  # minimum time between two checkpoints


@dataclass(frozen=True)
class TrainedProjectors:
    """The result of training.

    Attributes:
        image_projector, text_projector: projectors in evaluation mode.
        history: one row per epoch: `phase` ("select" or "final"; "final-2" for the second of
            several seeds), `epoch` from 1, `loss`, every named part, `validation_map` (the score
            of the validation pairs, in the select phase), `learning_rate`, `seconds`.
        epochs: number of epochs; 0 if residual projectors were best before training.
        run: identifier of this training, unchanged when it is resumed.
        image_tail: the last blocks of the image encoder, if they were trained.
        text_tail: the last layers of the sentence encoder, if they were trained.
    """

    image_projector: Projector
    text_projector: Projector
    history: list[dict[str, Any]]
    epochs: int
    run: str
    image_tail: ImageTail | None = None
    text_tail: TextTail | None = None


def train_projectors(
    splits: TrainingSplits,
    preset: Preset,
    seed: int,
    score: Score | None = None,
    *,
    image_tail: ImageTail | None = None,
    text_tail: TextTail | None = None,
    checkpoints: str | Path | None = None,
    snapshots: Snapshots | None = None,
    report_to: ReportTo | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> TrainedProjectors:
    """Train on the fit part and restore the epoch that scores best on the validation part.

    For residual projectors the untrained identity counts as epoch 0. If the splits have a `refit`
    part, the projectors are then trained on it from scratch for the chosen number of epochs. A
    preset without early stopping is trained on `splits.final` for its number of epochs.

    The random numbers of an epoch depend only on (seed, epoch), so a resumed run is bit-identical
    to an uninterrupted one on the same machine.

    Args:
        splits: pairs to train on and pairs to choose the number of epochs on.
        preset: training settings.
        seed: random seed of weights, order of pairs, dropout and mining.
        score: score to maximise on `validation`. Default: `validation_score`.
        image_tail: blocks of the image encoder to fine-tune; a copy is trained. The images of
            `splits` are then its inputs, (N, V, ...) activations of V views of each picture.
        text_tail: layers of the sentence encoder to fine-tune; a copy is trained. The texts of
            `splits` are then its inputs, (N, S, T, D) states of T tokens of S sentences.
        checkpoints: directory for checkpoints; a run resumes from existing ones.
        snapshots: embed its pairs at a few epochs of the phase that returns the projectors.
        report_to: called with the figures of every epoch; see `ReportTo`.
        device: torch device to train on, in float32. Only the CPU is bit-reproducible.
        progress: show a progress bar, and print the log lines of losses that have one.

    Raises:
        TrainingError: the loss or the score is not finite, a checkpoint is damaged or belongs to
            another run, the preset is residual and the features have different dimensions, or it
            has several seeds together with a tail or snapshots.
    """
    if preset.seeds > 1 and (image_tail or text_tail or snapshots):
        raise TrainingError(
            f"{preset.name} combines {preset.seeds} seeds, which excludes fine-tuning and "
            "snapshots: use seeds=1"
        )
    score = score or validation_score(splits.validation)
    home = None if checkpoints is None else Path(checkpoints)
    tails = image_tail, text_tail
    reporter = None if report_to is None else _Reporter(report_to)
    # The networks are small, so threads would mostly wait for each other, and many times longer
    # when another program uses a core. Parallel runs use the other cores.
    with torch_threads(1), torch.random.fork_rng(devices=[]):
        members = [
            _train(
                splits, preset, member, score, home, tails, snapshots, reporter, device, progress
            )
            for member in _members(seed, preset.seeds)
        ]
    if len(members) == 1:
        return members[0]
    return replace(
        members[0],
        image_projector=beside([trained.image_projector for trained in members]),
        text_projector=beside([trained.text_projector for trained in members]),
        history=[row for trained in members for row in trained.history],
        epochs=max(trained.epochs for trained in members),
    )


@dataclass
class _Reporter:
    """Number the epochs over all phases, because trackers need increasing steps."""

    report_to: ReportTo
    earlier: int = 0

    def epoch(self, row: Mapping[str, Any]) -> None:
        figures = {name: value for name, value in row.items() if isinstance(value, float)}
        phase = {f"{row['phase']}/{name}": value for name, value in figures.items()}
        self.report_to(phase, self.earlier + row["epoch"])


def _members(seed: int, count: int) -> list[tuple[int, str]]:
    """Return the seed of each combined training and the suffix of its phase names.

    The first one uses `seed` itself, as a single training does.
    """
    others = [(_derived_seed(seed, number), f"-{number + 1}") for number in range(1, count)]
    return [(seed, ""), *others]


def _train(
    splits: TrainingSplits,
    preset: Preset,
    member: tuple[int, str],
    score: Score,
    home: Path | None,
    tails: Tails,
    snapshots: Snapshots | None,
    reporter: _Reporter | None,
    device: str,
    progress: bool,
) -> TrainedProjectors:
    seed, suffix = member

    def phase(name: str, data: PairedFeatures) -> _Phase:
        return _Phase(name + suffix, data, preset, seed, home, tails, device)

    if not preset.early_stopping:
        final = phase("final", splits.final)
        final.run(preset.epochs, snapshots=snapshots, reporter=reporter, progress=progress)
        return _result(final, preset.epochs)
    select = phase("select", splits.fit)
    select.run(
        preset.epochs,
        splits.validation,
        score,
        snapshots=snapshots if splits.refit is None else None,
        reporter=reporter,
        progress=progress,
    )
    epochs = select.progress.best_epoch
    if splits.refit is None:
        return _result(select, epochs)
    final = phase("final", splits.refit)
    final.run(epochs, snapshots=snapshots, reporter=reporter, progress=progress)
    return _result(final, epochs, before=select)


def remove_checkpoints(home: Path) -> None:
    """Remove the checkpoints of a finished run.

    The files with the run's identifier are removed last, so that the run can be resumed if the
    removal is interrupted.
    """
    phases = ["final.safetensors", "select.safetensors"]  # of the first seed
    others = [file for file in home.glob("*.safetensors") if file.name not in phases]
    for file in (*home.glob(".*.tmp"), *others, *(home / name for name in phases)):
        file.unlink(missing_ok=True)


def _result(phase: _Phase, epochs: int, before: _Phase | None = None) -> TrainedProjectors:
    networks = phase.networks.eval().cpu()
    phases = [phase] if before is None else [before, phase]
    return TrainedProjectors(
        with_one_scale(networks.image_projector),
        with_one_scale(networks.text_projector),
        [row for part in phases for row in part.progress.history],
        epochs,
        phases[0].progress.run,
        networks.image_tail,
        networks.text_tail,
    )


def _share_of_rate(preset: Preset, done: float) -> float:
    """Return the factor of the learning rate after the share `done` of training."""
    epochs = done * preset.epochs
    if epochs < preset.warmup:
        return max(epochs / preset.warmup, _LEAST_RATE)
    if not preset.cosine:
        return 1.0
    left = (epochs - preset.warmup) / (preset.epochs - preset.warmup)
    return (1 + math.cos(math.pi * left)) / 2


def _derived_seed(seed: int, number: int) -> int:
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


class _Networks(nn.Module):
    """All modules that are trained together."""

    def __init__(self, data: PairedFeatures, preset: Preset, tails: Tails) -> None:
        super().__init__()
        self.device = "cpu"
        self.image_tail, self.text_tail = copy.deepcopy(tails)
        images, texts = self.features(data)
        dim = preset.common_dim(images.shape[1], texts.shape[1], data.n_classes)
        posterior = preset.output == "posterior"

        def projector(
            in_dim: int, hidden: tuple[int, ...], dropout: tuple[float, float], slot: int
        ) -> Projector:
            output = cast("Output", f"posterior-{slot}" if posterior else preset.output)
            return Projector(
                in_dim,
                hidden,
                dim,
                preset.activation,
                dropout,
                output,
                preset.radius,
                preset.residual,
            )

        self.image_projector = projector(
            images.shape[1], preset.image_hidden, preset.dropout, slot=0
        )
        self.text_projector = projector(
            texts.shape[1], preset.text_hidden, preset.text_dropout or preset.dropout, slot=1
        )
        self.objective = build_objective(preset.objective, dim, max(1, data.n_classes))
        if self.objective.needs_labels and not data.labelled.all():
            raise TrainingError(
                f"{int((~data.labelled).sum())} of {len(data)} pairs have no label, which "
                f"{', '.join(self.objective.needs_labels)} needs: choose another objective"
            )
        for side, rows in ((self.image_projector, images), (self.text_projector, texts)):
            if preset.standardise:
                side.scaling = InputScaling(rows.shape[1], each=True)
            side.scaling.fit(rows)

    def features(self, data: PairedFeatures) -> tuple[Tensor, Tensor]:
        """Return (M, Di) image and (N, Dt) text features, without augmentation or gradient."""
        images, texts = (
            torch.from_numpy(part).to(self.device) for part in (data.images, data.texts)
        )
        if self.image_tail is None and images.ndim == 3:
            images = images[:, 0]
        return (
            images if self.image_tail is None else self.image_tail.plain(images),
            texts if self.text_tail is None else self.text_tail.plain(texts),
        )

    def sample(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, Di) and (B, Dt) features of a random view of each item of a batch."""
        if self.image_tail is None and images.ndim == 3:
            chosen = torch.randint(images.shape[1], (len(images),))
            images = images[torch.arange(len(images), device=images.device), chosen]
        return (
            images if self.image_tail is None else self.image_tail.draw(images),
            texts if self.text_tail is None else self.text_tail.draw(texts),
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the optimizer's parameter groups; each tail has a separate learning rate."""
        tails = [tail for tail in (self.image_tail, self.text_tail) if tail is not None]
        in_tails = {id(weight) for tail in tails for weight in tail.parameters()}
        own = [weight for weight in self.parameters() if id(weight) not in in_tails]
        groups: list[dict[str, Any]] = [
            {"params": [weight for weight in own if weight.ndim]},
            *({"params": list(tail.parameters()), "lr": tail.learning_rate} for tail in tails),
        ]
        # No weight decay for scalars such as a temperature.
        scalars = [weight for weight in own if not weight.ndim]
        return [*groups, {"params": scalars, "weight_decay": 0.0}] if scalars else groups


class _Phase:
    """One training from scratch, to choose the best epoch or for a given number of epochs."""

    def __init__(
        self,
        name: str,
        data: PairedFeatures,
        preset: Preset,
        seed: int,
        home: Path | None,
        tails: Tails,
        device: str,
    ) -> None:
        self.name, self.data, self.preset, self.seed = name, data, preset, seed
        self.progress = Progress()
        torch.manual_seed(seed)
        self.tails = tails
        self.networks = _Networks(data, preset, tails).to(device)
        self.networks.device = device
        self.optimizer = torch.optim.AdamW(
            self.networks.parameter_groups(),
            lr=preset.learning_rate,
            betas=preset.betas,
            weight_decay=preset.weight_decay,
            fused=True,
        )
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.images = torch.from_numpy(data.images)
        self.items = None if data.captions is None else torch.from_numpy(data.captions.items)
        weights = None if data.captions is None else data.captions.label_weights
        self.label_weights = None if weights is None else torch.from_numpy(weights).to(device)
        self.texts = torch.from_numpy(data.texts)
        self.labels = torch.from_numpy(data.labels).to(device)
        self.best: dict[str, Tensor] = {}
        self.file = None if home is None else home / f"{name}.safetensors"
        self.saved_at = time.monotonic()

    def run(
        self,
        epochs: int,
        validation: PairedFeatures | None = None,
        score: Score | None = None,
        *,
        snapshots: Snapshots | None,
        reporter: _Reporter | None,
        progress: bool,
    ) -> None:
        """Train up to `epochs`; with `validation`, stop early and restore the best epoch."""
        key = self._key(epochs, validation)
        self._resume(key)
        state = self.progress
        if snapshots is not None and not state.epoch:
            snapshots(0, self._embed)
        if self.preset.residual and validation is not None and score is not None and not self.best:
            self._keep(self._score(validation, score))
        state.finished |= state.epoch >= epochs
        title = f"training ({self.name})"
        with Meter(epochs, title, "epoch", done=state.epoch, show=progress) as bar:
            while not state.finished:
                row = self._epoch(bar if progress else None)
                if snapshots is not None:
                    snapshots(state.epoch, self._embed)
                if validation is not None and score is not None:
                    row["validation_map"] = self._score(validation, score)
                    if row["validation_map"] > state.best_score:
                        self._keep(row["validation_map"])
                    waited = state.epoch - state.best_epoch
                    state.finished = waited >= self.preset.patience
                state.finished |= state.epoch >= epochs
                self._save(key)
                if reporter is not None:
                    reporter.epoch(row)
                figures = {"loss": row["loss"]}
                if validation is not None:
                    figures["best on validation"] = state.best_score
                bar.update(**figures)
        if self.best:
            self.networks.load_state_dict(self.best)
        if reporter is not None:
            reporter.earlier += state.epoch

    def _keep(self, score: float) -> None:
        """Store the current state of the networks as the best so far."""
        self.progress.best_score, self.progress.best_epoch = score, self.progress.epoch
        self.best = {name: value.clone() for name, value in self.networks.state_dict().items()}

    def _epoch(self, bar: Meter | None) -> dict[str, Any]:
        started = time.perf_counter()
        before = sum(past["seconds"] for past in self.progress.history)
        preset, state = self.preset, self.progress
        torch.manual_seed(_derived_seed(self.seed, state.epoch))
        self.networks.train()
        order = torch.arange(len(self.data))
        if preset.shuffle:
            once = torch.Generator().manual_seed(self.seed) if preset.shuffle == "once" else None
            order = torch.randperm(len(self.data), generator=once)
        if preset.drop_last and len(order) > preset.batch_size:
            order = order[: len(order) // preset.batch_size * preset.batch_size]
        batches = torch.split(order, preset.batch_size)
        sums: defaultdict[str, float] = defaultdict(float)
        for number, batch in enumerate(batches):
            schedule = (state.epoch + number / len(batches)) / preset.epochs
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * _share_of_rate(preset, schedule)
            total, parts = self._step(batch, schedule)
            share = len(batch) / len(order)
            sums["loss"] += share * total
            for name, value in parts.items():
                sums[name] += share * float(value)
            if bar is not None:
                seconds = before + time.perf_counter() - started
                place = (state.epoch + 1, number, len(batches))
                for line in self.networks.objective.log_lines(parts, place, seconds):
                    bar.write(line)
        state.epoch += 1
        row: dict[str, Any] = {
            "phase": self.name,
            "epoch": state.epoch,
            **sums,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": time.perf_counter() - started,
        }
        state.history.append(row)
        return row

    def _step(self, batch: Tensor, schedule: float) -> tuple[float, dict[str, Tensor]]:
        networks = self.networks
        items = batch if self.items is None else self.items[batch]
        images, texts = networks.sample(
            self.images[items].to(networks.device), self.texts[batch].to(networks.device)
        )
        networks.objective.schedule(schedule)
        if self.items is not None:
            networks.objective.observe_items(items.to(networks.device))
        if self.label_weights is not None:
            networks.objective.observe_label_weights(self.label_weights[batch])
        networks.objective.observe(images.detach(), texts.detach())
        total, parts = networks.objective(
            networks.image_projector(images), networks.text_projector(texts), self.labels[batch]
        )
        value = float(total.detach())
        if not np.isfinite(value):
            raise TrainingError(
                f"the loss became {value} in epoch {self.progress.epoch + 1}; "
                f"lower the learning rate (now {self.preset.learning_rate:g})"
            )
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        return value, parts

    def _score(self, validation: PairedFeatures, score: Score) -> float:
        value = score(*self._embed(validation), validation.labels)
        if not np.isfinite(value):
            raise TrainingError(
                f"the score of the validation pairs is {value}, so no epoch can be chosen: lower "
                f"the learning rate (now {self.preset.learning_rate:g})"
            )
        return value

    def _embed(self, pairs: PairedFeatures) -> tuple[FloatArray, FloatArray]:
        images, texts = (part.cpu().numpy() for part in self.networks.features(pairs))
        return (
            pairs.each(self.networks.image_projector.embed(images)),
            self.networks.text_projector.embed(texts),
        )

    def _key(self, epochs: int, validation: PairedFeatures | None) -> str:
        facts = [
            self.name,
            self.preset.as_dict(),
            self.seed,
            epochs,
            self.data.sha256,
            None if validation is None else validation.sha256,
        ]
        for tail in self.tails:
            if tail is not None:
                weights = {name: value.numpy() for name, value in tail.state_dict().items()}
                facts += [tail.learning_rate, sha256_of_arrays(weights)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _resume(self, key: str) -> None:
        checkpoint = None if self.file is None else read_checkpoint(self.file, key)
        if checkpoint is None:
            return
        self.progress, tensors = checkpoint
        states = parted(tensors, self.optimizer)
        self.networks.load_state_dict(states["networks"])
        self.best = states["best"]

    def _save(self, key: str) -> None:
        if self.file is None:
            return
        due = time.monotonic() - self.saved_at >= _CHECKPOINT_SECONDS
        if not (due or self.progress.finished):
            return
        states = {"networks": self.networks.state_dict(), "best": self.best}
        write_checkpoint(self.file, key, self.progress, joined(states, self.optimizer))
        self.saved_at = time.monotonic()
