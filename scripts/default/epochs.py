"""Training loop of image networks: schedule, steps and checkpoints."""

from __future__ import annotations

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from cmr_hub.errors import TrainingError
from cmr_hub.training.checkpoint import (
    Progress,
    joined,
    parted,
    read_checkpoint,
    write_checkpoint,
)

if TYPE_CHECKING:
    from cmr_hub.types import JSONObject

Result = TypeVar("Result")

_CHECKPOINT_SECONDS = 120.0  # minimum time between checkpoints, which a kill may lose


@dataclass(frozen=True)
class Schedule:
    """Schedule of epochs, learning rates and input sizes.

    Args:
        epochs: number of epochs, each with one view of every picture.
        batch_size: pictures per step.
        learning_rate: maximum learning rate of AdamW; it rises over the first `warmup` epochs and
            falls to zero along a cosine.
        weight_decay: weight decay of AdamW, except for batch norms and biases.
        warmup: number of warm-up epochs.
        sizes: input sizes in pixels and the share of the epochs at each, in this order
            ("progressive resizing": small pictures first, for speed).
        validate_every: number of epochs between evaluations on the held-out pictures.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup: float
    sizes: tuple[tuple[int, float], ...]
    validate_every: int

    def __post_init__(self) -> None:
        shares = sum(share for _, share in self.sizes)
        if min(self.epochs, self.batch_size, self.validate_every) < 1 or self.learning_rate <= 0:
            raise TrainingError(
                "training needs at least one epoch, a batch of at least one picture and a learning "
                f"rate above 0, not {self.epochs}, {self.batch_size} and {self.learning_rate}"
            )
        if abs(shares - 1) > 1e-6 or any(size < 32 for size, _ in self.sizes):
            raise TrainingError(
                f"sizes must be 32 pixels or more, with shares that sum to 1, not {self.sizes}"
            )

    def size_at(self, epoch: int) -> int:
        """Return the input size in an epoch, counted from 0."""
        reached = 0.0
        for size, share in self.sizes:
            reached += share * self.epochs
            if epoch + 0.5 < reached:
                return size
        return self.sizes[-1][0]

    def rate_at(self, epoch: float, highest: float) -> float:
        """Return the learning rate in an epoch, counted from 0, for the maximum `highest`."""
        warm = min(1.0, (epoch + 0.05) / self.warmup) if self.warmup else 1.0
        fallen = 0.5 * (1 + np.cos(np.pi * min(1.0, epoch / self.epochs)))
        return float(highest * warm * fallen)

    def as_dict(self) -> JSONObject:
        """Return JSON values, for records."""
        return asdict(self)


class Run(ABC, Generic[Result]):
    """A training run, from the start or from its checkpoint.

    The random numbers of every epoch depend only on (seed, epoch), so that a resumed run ends with
    the same bits as an uninterrupted one, on the same machine with the same number of threads.

    Args:
        parts: modules to train, by name.
        settings: training settings.
        seed: random seed of order, views and augmentation; the weights are already initialised.
        rows: (N,) int64, the pictures to train on.
        checkpoints: directory of checkpoints, from which the run is resumed.
        rates: maximum learning rate of each part. Default: that of the settings.
    """

    name: ClassVar[str]

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        settings: Schedule,
        seed: int,
        rows: Tensor,
        checkpoints: str | Path | None,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        self.parts, self.schedule, self.seed, self.rows = parts, settings, seed, rows
        groups: list[dict[str, Any]] = []
        self.rates: list[float] = []
        for name, part in parts.items():
            weights = list(part.parameters())
            for chosen, decay in (
                ([weight for weight in weights if weight.ndim > 1], settings.weight_decay),
                ([weight for weight in weights if weight.ndim <= 1], 0.0),
            ):
                if chosen:
                    groups.append({"params": chosen, "weight_decay": decay})
                    self.rates.append(rates[name] if rates else settings.learning_rate)
        self.optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
        self.progress = Progress()
        self.file = None if checkpoints is None else Path(checkpoints) / f"{self.name}.safetensors"
        self.saved_at = time.monotonic()

    def order(self) -> Tensor:
        """Return the (N,) pictures of `rows` in the order of the next epoch."""
        return self.rows[torch.randperm(len(self.rows))]

    @abstractmethod
    def loss(self, batch: Tensor, size: int, done: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the (B,) pictures `batch` at `size` pixels, and its parts by name.

        `done` is the completed share of the training, in [0, 1).
        """

    @abstractmethod
    def measure(self, size: int) -> dict[str, Any]:
        """Return figures of the held-out pictures, for the history."""

    @abstractmethod
    def result(self) -> Result:
        """Return the current result."""

    @abstractmethod
    def facts(self) -> list[Any]:
        """Return JSON values that identify this run: settings, seed and data."""

    def train(self, save: Callable[[Result], None] | None, *, progress: bool) -> None:
        """Train to the end, and call `save` after each evaluation."""
        key = hashlib.sha256(json.dumps(self.facts(), sort_keys=True).encode()).hexdigest()
        self._resume(key)
        state, settings = self.progress, self.schedule
        with tqdm(
            total=settings.epochs,
            initial=state.epoch,
            desc=self.name,
            unit="epoch",
            disable=None if progress else True,
        ) as bar:
            while not state.finished:
                row = self._epoch()
                state.finished = state.epoch >= settings.epochs
                if state.finished or state.epoch % settings.validate_every == 0:
                    row |= self.measure(row["size"])
                    if save is not None:
                        save(self.result())
                self._save(key)
                bar.update()
                bar.set_postfix(loss=f"{row['loss']:.3f}")

    def _epoch(self) -> dict[str, Any]:
        started = time.process_time()
        settings, state = self.schedule, self.progress
        epoch_seed = np.random.SeedSequence((self.seed, state.epoch)).generate_state(1)[0]
        torch.manual_seed(int(epoch_seed))
        for part in self.parts.values():
            part.train()
        size = settings.size_at(state.epoch)
        order = self.order()
        # The last, smaller batch is left out, because batch norm would give it too much weight.
        batches = order.split(settings.batch_size)
        if len(batches) > 1 and len(batches[-1]) < settings.batch_size:
            batches = batches[:-1]
        sums: defaultdict[str, float] = defaultdict(float)
        for number, batch in enumerate(batches):
            epoch = state.epoch + number / len(batches)
            for group, highest in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = settings.rate_at(epoch, highest)
            for name, value in self._step(batch, size, epoch / settings.epochs).items():
                sums[name] += value / len(batches)
        state.epoch += 1
        row: dict[str, Any] = {
            "epoch": state.epoch,
            "size": size,
            "learning_rate": settings.rate_at(epoch, settings.learning_rate),
            **sums,
            "seconds": time.process_time() - started,
        }
        state.history.append(row)
        return row

    def _step(self, batch: Tensor, size: int, done: float) -> dict[str, float]:
        total, parts = self.loss(batch, size, done)
        values = {"loss": float(total.detach())}
        values |= {name: float(part.detach()) for name, part in parts.items()}
        if not np.isfinite(values["loss"]):
            raise TrainingError(
                f"the loss became {values['loss']} in epoch {self.progress.epoch + 1}; "
                f"lower the learning rate (now {self.schedule.learning_rate:g})"
            )
        self.optimizer.zero_grad()
        total.backward()
        self.optimizer.step()
        return values

    def _resume(self, key: str) -> None:
        found = None if self.file is None else read_checkpoint(self.file, key)
        if found is None:
            return
        self.progress, tensors = found
        states = parted(tensors, self.optimizer)
        for name, part in self.parts.items():
            part.load_state_dict(states[name])

    def _save(self, key: str) -> None:
        if self.file is None:
            return
        due = time.monotonic() - self.saved_at >= _CHECKPOINT_SECONDS
        if not (due or self.progress.finished):
            return
        states = {name: part.state_dict() for name, part in self.parts.items()}
        write_checkpoint(self.file, key, self.progress, joined(states, self.optimizer))
        self.saved_at = time.monotonic()
