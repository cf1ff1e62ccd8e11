"""Save a trained encoder and its training history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save

from cmr_hub.atomic import atomic_file

if TYPE_CHECKING:
    from cmr_hub.encoders.images.network import NetworkEncoder


def write_outcome(
    encoder: NetworkEncoder, history: Iterable[Mapping[str, Any]], folder: Path
) -> None:
    """Write encoder.safetensors (float16 weights) and history.jsonl (one line per epoch)."""
    halves = {
        name: value.half() if value.is_floating_point() else value
        for name, value in encoder.state.items()
    }
    with atomic_file(folder / "encoder.safetensors") as file:
        file.write_bytes(save(halves))
    with atomic_file(folder / "history.jsonl") as file:
        file.write_text("".join(json.dumps(row) + "\n" for row in history), encoding="utf-8")
