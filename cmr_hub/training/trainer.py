"""Training two projectors with an objective; validation chooses the number of epochs.

The last blocks of an image encoder and the last layers of a sentence encoder may be trained with
them.
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
    from cmr_hub.models.projection import Output
    from cmr_hub.training.data import PairedFeatures, Score, TrainingSplits
    from cmr_hub.training.finetune import ImageTail
    from cmr_hub.training.finetune_text import TextTail
    from cmr_hub.training.presets import Preset
    from cmr_hub.training.snapshots import Snapshots
    from cmr_hub.types import FloatArray

Tails: TypeAlias = "tuple[ImageTail | None, TextTail | None]"

_LEAST_RATE = 0.01  # share of the learning rate: the first step of a warm-up does something, too
_CHECKPOINT_SECONDS = 5.0  # the least time between two checkpoints: what a kill can cost


@dataclass(frozen=True)
class TrainedProjectors:
    """What training gives.

    Attributes:
        image_projector, text_projector: in evaluation mode.
        history: one row per epoch: `phase` ("select" or "final"; of a second training beside the
            first "final-2"), `epoch` from 1, `loss`, every named part, in the select phase
            `validation_map`, the score of the validation pairs, `learning_rate`, `seconds`.
        epochs: how many the projectors were trained for; 0 where residual projectors were best
            before training.
        run: the name of this training, which it keeps when it is stopped and resumed.
        image_tail: the last blocks of the image encoder, where they were trained too.
        text_tail: the last layers of the sentence encoder likewise.
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
    device: str = "cpu",
    progress: bool = False,
) -> TrainedProjectors:
    """Trains on the fit part, keeps the epoch that scores best on the validation part.

    The start of residual projectors, the identity, is one of these epochs: the 0th.
    A preset without early stopping is trained on all of `splits.final` for its number of epochs.
    Where the splits have a `refit` part, the projectors are then trained on that from the start,
    for the chosen number of epochs.

    Every epoch draws its random numbers from (seed, epoch) alone, so a resumed run ends with the
    same bits as one that was never stopped, on the same machine.

    Args:
        splits: pairs to learn from and pairs that choose the number of epochs.
        preset: how to train.
        seed: of weights, order of pairs, dropout and mining.
        score: what to maximise on `validation`. Default: `validation_score`.
        image_tail: blocks of the image encoder to be trained too; it is left as it is. The images
            of `splits` are then its inputs, (N, V, ...) activations of V views of each picture.
        text_tail: layers of the sentence encoder likewise. The texts of `splits` are then its
            inputs, (N, S, T, D) states of the T tokens of S sentences of each document.
        checkpoints: a directory; a run that finds its checkpoints there goes on from them.
        snapshots: embeds its pairs at a few epochs of the phase that the projectors come from.
        device: where to train, as torch names it, in float32. Only on the CPU are two runs equal
            to the bit.
        progress: show a bar, and print the log lines of losses that have one.

    Raises:
        TrainingError: the loss or the score is not finite, a checkpoint is damaged or of
            another run, the preset is residual and the features have different lengths, or it
            puts several trainings side by side and a tail is to be trained, or snapshots kept.
    """
    if preset.seeds > 1 and (image_tail or text_tail or snapshots):
        raise TrainingError(
            f"{preset.name} puts {preset.seeds} trainings side by side, which fine-tune no encoder "
            "and keep no snapshots: take seeds=1 for either"
        )
    score = score or validation_score(splits.validation)
    home = None if checkpoints is None else Path(checkpoints)
    tails = image_tail, text_tail
    # The networks are small: threads that share one layer wait for each other more than they work,
    # up to many times slower when another program takes a core. Runs side by side use the cores.
    with torch_threads(1), torch.random.fork_rng(devices=[]):
        found = [
            _train(splits, preset, member, score, home, tails, snapshots, device, progress)
            for member in _members(seed, preset.seeds)
        ]
    first = found[0]
    if len(found) == 1:
        return first
    return replace(
        first,
        image_projector=beside([trained.image_projector for trained in found]),
        text_projector=beside([trained.text_projector for trained in found]),
        history=[row for trained in found for row in trained.history],
        epochs=max(trained.epochs for trained in found),
    )


@dataclass(frozen=True)
class _Member:
    """One of the trainings that are put side by side: its seed, and what tells its phases apart."""

    seed: int
    suffix: str = ""


def _members(seed: int, count: int) -> list[_Member]:
    """The first has the seed itself, so that one alone is what it always was."""
    others = (np.random.SeedSequence((seed, number)) for number in range(1, count))
    return [
        _Member(seed),
        *(_Member(int(s.generate_state(1)[0]), f"-{n}") for n, s in enumerate(others, start=2)),
    ]


def _train(
    splits: TrainingSplits,
    preset: Preset,
    member: _Member,
    score: Score,
    home: Path | None,
    tails: Tails,
    snapshots: Snapshots | None,
    device: str,
    progress: bool,
) -> TrainedProjectors:
    def phase(name: str, data: PairedFeatures) -> _Phase:
        return _Phase(name + member.suffix, data, preset, member.seed, home, tails, device)

    if not preset.early_stopping:
        whole = phase("final", splits.final)
        whole.run(preset.epochs, snapshots=snapshots, progress=progress)
        return _result(whole, preset.epochs)
    select = phase("select", splits.fit)
    select.run(
        preset.epochs,
        splits.validation,
        score,
        snapshots=snapshots if splits.refit is None else None,
        progress=progress,
    )
    epochs = select.progress.best_epoch
    if splits.refit is None:
        return _result(select, epochs)
    final = phase("final", splits.refit)
    final.run(epochs, snapshots=snapshots, progress=progress)
    return _result(final, epochs, before=select)


def remove_checkpoints(home: Path) -> None:
    """Removes what a run that is over has left in `checkpoints`.

    What names the run goes last: stopped in the middle of this, it is still known when resumed.
    """
    phases = ["final.safetensors", "select.safetensors"]  # of the first, if there are several
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
    """Of the learning rate, in the step before which this share of training is done."""
    epochs = done * preset.epochs
    if epochs < preset.warmup:
        return max(epochs / preset.warmup, _LEAST_RATE)
    if not preset.cosine:
        return 1.0
    left = (epochs - preset.warmup) / (preset.epochs - preset.warmup)
    return (1 + math.cos(math.pi * left)) / 2


def _epoch_seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])


class _Networks(nn.Module):
    """All that is trained together."""

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
        if data.labels.min() < 0 and self.objective.needs_labels:
            raise TrainingError(
                f"{int((data.labels < 0).sum())} of {len(data)} pairs have no label, and "
                f"{', '.join(self.objective.needs_labels)} cannot do without"
            )
        for side, rows in ((self.image_projector, images), (self.text_projector, texts)):
            if preset.standardise:
                side.scaling = InputScaling(rows.shape[1], each=True)
            side.scaling.fit(rows)

    def features(self, data: PairedFeatures) -> tuple[Tensor, Tensor]:
        """(M, Di) of the images and (N, Dt) of the texts as they are, without augmentation or
        gradient."""
        images, texts = (
            torch.from_numpy(part).to(self.device) for part in (data.images, data.texts)
        )
        if self.image_tail is None and images.ndim == 3:
            images = images[:, 0]
        return (
            images if self.image_tail is None else self.image_tail.plain(images),
            texts if self.text_tail is None else self.text_tail.plain(texts),
        )

    def drawn(self, images: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """(B, Di) and (B, Dt) of a batch; of several views, or parts, of an item a random one."""
        if self.image_tail is None and images.ndim == 3:
            chosen = torch.randint(images.shape[1], (len(images),))
            images = images[torch.arange(len(images), device=images.device), chosen]
        return (
            images if self.image_tail is None else self.image_tail.draw(images),
            texts if self.text_tail is None else self.text_tail.draw(texts),
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """For the optimizer: each tail has a learning rate of its own."""
        tails = [tail for tail in (self.image_tail, self.text_tail) if tail is not None]
        slow = {id(weight) for tail in tails for weight in tail.parameters()}
        own = [weight for weight in self.parameters() if id(weight) not in slow]
        groups: list[dict[str, Any]] = [
            {"params": [weight for weight in own if weight.ndim]},
            *({"params": list(tail.parameters()), "lr": tail.learning_rate} for tail in tails),
        ]
        # A temperature is no weight: nothing is gained by drawing it to 1.
        numbers = [weight for weight in own if not weight.ndim]
        return [*groups, {"params": numbers, "weight_decay": 0.0}] if numbers else groups


class _Phase:
    """One training from the start: to choose an epoch, or to reach a chosen one."""

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
        progress: bool,
    ) -> None:
        """Trains up to `epochs`; with `validation` stops early and goes back to the best epoch."""
        key = self._key(epochs, validation)
        self._resume(key)
        state = self.progress
        if snapshots is not None and not state.epoch:
            snapshots(0, self._embed)
        if self.preset.residual and validation is not None and score is not None and not self.best:
            self._keep(self._score(validation, score))
        state.finished |= state.epoch >= epochs
        what = f"training ({self.name})"
        with Meter(epochs, what, "epoch", done=state.epoch, show=progress) as bar:
            while not state.finished:
                row = self._epoch()
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
                if progress:
                    seconds = sum(past["seconds"] for past in state.history)
                    for line in self.networks.objective.log_lines(row, state.epoch, seconds):
                        bar.write(line)
                figures = {"loss": row["loss"]}
                if validation is not None:
                    figures["best on validation"] = state.best_score
                bar.update(**figures)
        if self.best:
            self.networks.load_state_dict(self.best)

    def _keep(self, score: float) -> None:
        """Notes the networks as they are now as the best so far."""
        self.progress.best_score, self.progress.best_epoch = score, self.progress.epoch
        self.best = {name: value.clone() for name, value in self.networks.state_dict().items()}

    def _epoch(self) -> dict[str, Any]:
        started = time.perf_counter()
        preset, state = self.preset, self.progress
        torch.manual_seed(_epoch_seed(self.seed, state.epoch))
        self.networks.train()
        order = torch.randperm(len(self.data)) if preset.shuffle else torch.arange(len(self.data))
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
        images, texts = networks.drawn(
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
            raise TrainingError(f"the score of the validation pairs is {value}: none can be chosen")
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
        found = None if self.file is None else read_checkpoint(self.file, key)
        if found is None:
            return
        self.progress, tensors = found
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
