"""Options that change a preset, and what is said where it has no such setting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cmr_hub.errors import CMRError
from cmr_hub.losses import loss_options
from cmr_hub.training.presets import PRESETS, Preset

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Baseline


def changed(
    method: Preset | Baseline,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    dim: int | None = None,
    temperature: float | None = None,
) -> Preset | Baseline:
    """The method with the settings that are given.

    Raises:
        CMRError: a baseline, or a preset without such a setting.
    """
    fields: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "dim": dim,
    }
    fields = {name: value for name, value in fields.items() if value is not None}
    options = [f"--{name.replace('_', '-')}" for name in fields]
    options += ["--temperature"] if temperature is not None else []
    if not options:
        return method
    if not isinstance(method, Preset):
        raise CMRError(f"{method.name} is fitted in closed form: it has no {', '.join(options)}")
    if dim is not None and method.dim is None:
        raise CMRError(
            f"{method.name} has no --dim: its common space is that of the classes or of the "
            "features"
        )
    if temperature is not None:
        fields["objective"] = _at_temperature(method, temperature)
    if epochs is not None:
        fields["warmup"] = min(method.warmup, epochs)
    return replace(method, **fields)


def _at_temperature(preset: Preset, temperature: float) -> dict[str, dict[str, Any]]:
    """The objective, its losses that have a temperature at this one."""
    with_one = _losses_with_temperature(preset)
    if not with_one:
        others = [name for name, other in PRESETS.items() if _losses_with_temperature(other)]
        raise CMRError(
            f"{preset.name} has no --temperature: none of its losses has one. Presets that do: "
            f"{', '.join(others)}"
        )
    return {
        term: {**description, "temperature": temperature} if term in with_one else dict(description)
        for term, description in preset.objective.items()
    }


def _losses_with_temperature(preset: Preset) -> list[str]:
    return [
        term
        for term, description in preset.objective.items()
        if "temperature" in loss_options(description.get("loss", term))
    ]
