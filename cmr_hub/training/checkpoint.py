"""Read and write checkpoints: tensors and progress of a training phase in a safetensors file."""

from __future__ import annotations

import hashlib
import json
import math
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from cmr_hub.atomic import atomic_file
from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from cmr_hub.types import JSONObject


@dataclass
class Progress:
    """The progress of a training phase.

    Attributes:
        epoch: number of finished epochs.
        history: one row per finished epoch.
        best_epoch, best_score: the best epoch so far; 0 if there is none, or if the untrained
            start is the best.
        finished: whether the phase is complete.
        run: unique identifier of the training, unchanged when it is resumed.
    """

    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = float("-inf")
    finished: bool = False
    run: str = field(default_factory=lambda: secrets.token_hex(8))


def write_checkpoint(
    path: Path, key: str, progress: Progress, tensors: Mapping[str, Tensor]
) -> None:
    """Write a checkpoint atomically; `key` identifies preset, seed and data."""
    facts: JSONObject = {
        "key": key,
        "epoch": progress.epoch,
        "history": progress.history,
        "best_epoch": progress.best_epoch,
        "best_score": None if math.isinf(progress.best_score) else progress.best_score,
        "finished": progress.finished,
        "run": progress.run,
    }
    text = json.dumps(facts)
    metadata = {"progress": text, "sha256": _digest(text, tensors)}
    with atomic_file(path) as temporary:
        # `save_file` makes files that only their owner can read.
        temporary.write_bytes(save(dict(tensors), metadata))


def read_checkpoint(path: Path, key: str) -> tuple[Progress, dict[str, Tensor]] | None:
    """Read the checkpoint at `path`; None if there is none.

    Raises:
        TrainingError: it is damaged, or belongs to a run with another preset, seed or data.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata["sha256"] != _digest(metadata["progress"], tensors):
            raise ValueError("its checksum does not match")
        facts = json.loads(metadata["progress"])
        stored_key = facts.pop("key")
        if facts["best_score"] is None:
            facts["best_score"] = float("-inf")
        progress = Progress(**facts)
    except (
        *(SafetensorError, OSError, AttributeError, KeyError),
        *(RecursionError, TypeError, ValueError),
    ) as error:
        raise TrainingError(
            f"the checkpoint {path} is damaged ({error}); remove it to start again"
        ) from error
    if stored_key != key:
        raise TrainingError(
            f"the checkpoint {path} belongs to a run with another preset, seed, data or encoder; "
            "use the same settings, choose another output directory, or remove it"
        )
    return progress, tensors


def joined(parts: Mapping[str, Mapping[str, Tensor]], optimizer: Optimizer) -> dict[str, Tensor]:
    """Flatten parts and the optimizer state into `part/name` and `optimizer/weight/slot`."""
    tensors = {
        f"{part}/{name}": value for part, named in parts.items() for name, value in named.items()
    }
    for weight, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{weight}/{slot}": value for slot, value in slots.items()}
    return {name: value.contiguous() for name, value in tensors.items()}


def parted(
    tensors: Mapping[str, Tensor], optimizer: Optimizer
) -> defaultdict[str, dict[str, Tensor]]:
    """Undo `joined`: return the parts, and load the state of the optimizer."""
    parts: defaultdict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts[part][rest] = value
    state = optimizer.state_dict()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for name, value in parts.pop("optimizer", {}).items():
        index, _, slot = name.partition("/")
        # The fused optimizer needs states with the strides of the weights.
        like = weights[int(index)]
        strided = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
        state["state"].setdefault(int(index), {})[slot] = strided
    optimizer.load_state_dict(state)
    return parts


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    arrays = {name: value.numpy() for name, value in tensors.items()}
    return hashlib.sha256((text + sha256_of_arrays(arrays)).encode()).hexdigest()
