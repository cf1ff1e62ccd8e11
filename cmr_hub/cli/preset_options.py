"""Apply command-line options to a preset."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from cmr_hub.errors import CMRError
from cmr_hub.losses import loss_options
from cmr_hub.losses.description import objective_spec
from cmr_hub.training.presets import PRESETS, Preset

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Baseline


@dataclass(frozen=True)
class Changes:
    """Settings that replace those of a preset; None keeps the preset's value."""

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    dim: int | None = None
    temperature: float | None = None
    seeds: int | None = None
    objective: str | None = None

    def of(self, method: Preset | Baseline) -> Preset | Baseline:
        """Return the method with these settings.

        Raises:
            CMRError: the method is a baseline, or a preset without one of the settings.
        """
        fields: dict[str, Any] = {
            name: value for name, value in asdict(self).items() if value is not None
        }
        if not fields:
            return method
        if not isinstance(method, Preset):
            options = ", ".join(f"--{name.replace('_', '-')}" for name in fields)
            raise CMRError(f"{method.name} is fitted in closed form and has no {options}")
        if self.dim is not None and method.dim is None:
            raise CMRError(
                f"{method.name} has no --dim: the classes or the features determine the "
                "dimension of its common space"
            )
        if fields.pop("objective", None) is not None:
            # The loss determines whether labels are needed.
            fields["supervised"] = False
            fields["objective"] = objective_spec(str(self.objective))
            method = replace(method, objective=fields["objective"])
        if fields.pop("temperature", None) is not None:
            fields["objective"] = _at_temperature(method, self.temperature)
        if self.epochs is not None:
            fields["warmup"] = min(method.warmup, self.epochs)
        return replace(method, **fields)


def _at_temperature(preset: Preset, temperature: float | None) -> dict[str, dict[str, Any]]:
    """Set the temperature of all losses that have one, and return the objective."""
    losses = _losses_with_temperature(preset)
    if not losses:
        others = [name for name, other in PRESETS.items() if _losses_with_temperature(other)]
        raise CMRError(
            f"{preset.name} has no --temperature: none of its losses has one. Presets with one: "
            f"{', '.join(others)}"
        )
    return {
        term: {**description, "temperature": temperature} if term in losses else dict(description)
        for term, description in preset.objective.items()
    }


def _losses_with_temperature(preset: Preset) -> list[str]:
    return [
        term
        for term, description in preset.objective.items()
        if "temperature" in loss_options(description.get("loss", term))
    ]
