"""Training curves: of stored runs, of model directories, and of a training that goes on now."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from safetensors import SafetensorError, safe_open

from cmr_hub.experiments.artifacts import read_curve
from cmr_hub.models.files import read_history
from cmr_hub.models.names import HISTORY
from cmr_hub.outside import check_file

if TYPE_CHECKING:
    from cmr_hub.experiments.run_record import RunRecord
    from cmr_hub.types import JSONObject

Column: TypeAlias = "list[float | None]"

CHECKPOINTS = ".checkpoints"
"""What `cmr train` adds to the name of a model directory for the one it keeps checkpoints in."""


@dataclass(frozen=True)
class Curve:
    """One phase of a training: a value per epoch of everything that was noted.

    Attributes:
        phase: "select" or "final".
        epochs: where the values stand.
        columns: by name, as long as `epochs`; None where a value is missing or not finite.
    """

    phase: str
    epochs: list[float]
    columns: dict[str, Column] = field(default_factory=dict)


def stored_curves(results: str | Path, record: RunRecord) -> list[Curve]:
    """The phases of a run in the store; none for a run that was not trained by epochs.

    The learning rate is the one of its settings.

    Raises:
        ModelFormatError: the file is damaged.
    """
    if record.cell is None:
        return []
    phases = read_curve(Path(results), record.cell) or {}
    rate = record.settings.get("learning_rate")
    curves = []
    for phase, columns in phases.items():
        length = max(map(len, columns.values()), default=0)
        values = {name: _numbers(column, length) for name, column in columns.items()}
        epochs = values.pop("epoch", [])
        (rate_shown,) = _numbers([rate], 1)
        if rate_shown is not None:
            values["learning_rate"] = [rate_shown] * length
        whole = [float(n) if e is None else e for n, e in enumerate(epochs, 1)]
        curves.append(Curve(phase, whole or [float(n) for n in range(1, length + 1)], values))
    return curves


def history_curves(rows: Iterable[JSONObject]) -> list[Curve]:
    """The phases of a history: one row per epoch, as training keeps it."""
    phases: dict[str, list[JSONObject]] = {}
    for row in rows:
        phases.setdefault(str(row.get("phase", "")), []).append(row)
    curves = []
    for phase, members in phases.items():
        names = dict.fromkeys(name for row in members for name in row)
        columns = {
            name: _numbers([row.get(name) for row in members], len(members))
            for name in names
            if name not in ("phase", "epoch")
        }
        numbered = _numbers([row.get("epoch") for row in members], len(members))
        epochs = [float(n) if e is None else e for n, e in enumerate(numbered, 1)]
        curves.append(
            Curve(
                phase,
                epochs,
                {name: c for name, c in columns.items() if any(v is not None for v in c)},
            )
        )
    return curves


def model_curves(directory: str | Path) -> list[Curve]:
    """The curves of a model directory. Raises ModelFormatError; no curves without a history."""
    path = Path(directory) / HISTORY
    return history_curves(read_history(path)) if path.exists() else []


def checkpoints_of(directory: str | Path) -> Path:
    """Where `cmr train --out directory` keeps its checkpoints as long as it trains."""
    directory = Path(directory)
    return directory.with_name(f"{directory.name}{CHECKPOINTS}")


def running_curves(directory: str | Path) -> list[Curve]:
    """The curves so far of a training that goes on, from its checkpoints; their tensors are not
    read. A checkpoint that cannot be read is left out: the next one replaces it soon."""
    rows: list[JSONObject] = []
    for phase in ("select", "final"):
        path = Path(directory) / f"{phase}.safetensors"
        try:
            check_file(path)
            with safe_open(path, framework="numpy") as file:
                history = json.loads((file.metadata() or {})["progress"])["history"]
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError):
            continue
        if isinstance(history, list):
            rows += [row for row in history if isinstance(row, dict)]
    return history_curves(rows)


def smoothed(values: Sequence[float | None], weight: float) -> Column:
    """The exponential moving average, corrected for its start; a gap stays a gap.

        s_t = (w s_{t−1} + (1 − w) x_t),  shown as s_t / (1 − w^t)

    Source: Kingma and Ba, Adam, ICLR 2015, section 3, for the correction.

    Args:
        values: x.
        weight: w in [0, 1); 0 changes nothing.
    """
    average, seen = 0.0, 0
    result: Column = []
    for value in values:
        if value is None:
            result.append(None)
            continue
        average = weight * average + (1 - weight) * value
        seen += 1
        result.append(average / (1 - weight**seen))
    return result


def _numbers(values: Sequence[Any], length: int) -> Column:
    column: Column = [_number(value) for value in values]
    return column + [None] * (length - len(column))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None
