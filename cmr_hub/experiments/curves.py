"""Training curves of stored runs, of model directories and of a running training."""

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
"""Suffix of the directory in which `cmr train` stores checkpoints, next to the model directory."""


@dataclass(frozen=True)
class Curve:
    """One phase of a training, with the recorded values of each epoch.

    Attributes:
        phase: "select" or "final".
        epochs: the x values.
        columns: lists by name, as long as `epochs`; None if a value is missing or not finite.
    """

    phase: str
    epochs: list[float]
    columns: dict[str, Column] = field(default_factory=dict)


def stored_curves(results: str | Path, record: RunRecord) -> list[Curve]:
    """Return the phases of a stored run; none if the run was not trained in epochs.

    The learning rate comes from the settings of the run.

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
        (valid_rate,) = _numbers([rate], 1)
        if valid_rate is not None:
            values["learning_rate"] = [valid_rate] * length
        given = [float(n) if e is None else e for n, e in enumerate(epochs, 1)]
        curves.append(Curve(phase, given or [float(n) for n in range(1, length + 1)], values))
    return curves


def history_curves(rows: Iterable[JSONObject]) -> list[Curve]:
    """Return the phases of a training history, which has one row per epoch."""
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
    """Return the curves of a model directory; none without a history. Raises ModelFormatError."""
    path = Path(directory) / HISTORY
    return history_curves(read_history(path)) if path.exists() else []


def checkpoints_of(directory: str | Path) -> Path:
    """Return the directory in which `cmr train --out directory` stores its checkpoints."""
    directory = Path(directory)
    return directory.with_name(f"{directory.name}{CHECKPOINTS}")


def running_curves(directory: str | Path) -> list[Curve]:
    """Return the curves so far of a running training, from the metadata of its checkpoints.

    A checkpoint that cannot be read is skipped: the next one replaces it soon.
    """
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
    """Return the exponential moving average with bias correction; gaps (None) stay gaps.

        s_t = (w s_{t−1} + (1 − w) x_t),  shown as s_t / (1 − w^t)

    Source: Kingma and Ba, Adam, ICLR 2015, section 3, for the bias correction.

    Args:
        values: x.
        weight: w in [0, 1); 0 returns the values unchanged.
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
    except OverflowError:  # an integer with hundreds of digits
        return None
    return number if math.isfinite(number) else None
