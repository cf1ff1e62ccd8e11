"""All that can be measured, by one name: presets and baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmr_hub.baselines import BASELINES, baseline
from cmr_hub.errors import UnknownNameError
from cmr_hub.training.presets import PRESETS

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Baseline
    from cmr_hub.training.presets import Preset


def method_names() -> list[str]:
    """The names that `get_method` knows."""
    return [*PRESETS, *BASELINES]


def get_method(name: str) -> Preset | Baseline:
    """The preset or the baseline of this name. Raises UnknownNameError."""
    if name in PRESETS:
        return PRESETS[name]
    if name in BASELINES:
        return baseline(name)
    raise UnknownNameError("preset or baseline", name, method_names())
