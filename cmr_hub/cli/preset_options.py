"""Command-line options that change the settings of a preset."""

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
    """Settings that a command gives in place of the preset's; None leaves the preset's."""

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    dim: int | None = None
    temperature: float | None = None
    seeds: int | None = None
    objective: str | None = None

    def of(self, method: Preset | Baseline) -> Preset | Baseline:
        """The method with these settings.

        Raises:
            CMRError: a baseline, or a preset without such a setting.
        """
        fields: dict[str, Any] = {
            name: value for name, value in asdict(self).items() if value is not None
        }
        if not fields:
            return method
        if not isinstance(method, Preset):
            options = ", ".join(f"--{name.replace('_', '-')}" for name in fields)
            raise CMRError(f"{method.name} is fitted in closed form: it has no {options}")
        if self.dim is not None and method.dim is None:
            raise CMRError(
                f"{method.name} has no --dim: its common space is that of the classes or of the "
                "features"
            )
        if fields.pop("objective", None) is not None:
            # Whether labels are needed is now for the loss to say.
            fields["supervised"] = False
            fields["objective"] = objective_spec(str(self.objective))
            method = replace(method, objective=fields["objective"])
        if fields.pop("temperature", None) is not None:
            fields["objective"] = _at_temperature(method, self.temperature)
        if self.epochs is not None:
            fields["warmup"] = min(method.warmup, self.epochs)
        return replace(method, **fields)


def _at_temperature(preset: Preset, temperature: float | None) -> dict[str, dict[str, Any]]:
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
