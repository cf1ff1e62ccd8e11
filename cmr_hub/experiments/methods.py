"""Look up presets and baselines by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmr_hub.baselines import BASELINES, baseline
from cmr_hub.errors import CMRError, TrainingError, UnknownNameError
from cmr_hub.training.presets import PRESETS, Preset

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Baseline
    from cmr_hub.datasets.features import FeatureDataset
    from cmr_hub.datasets.pairs import PairDataset


def method_names() -> list[str]:
    """Return the names of all presets and baselines."""
    return [*PRESETS, *BASELINES]


def get_method(name: str) -> Preset | Baseline:
    """Return the preset or baseline with this name. Raises UnknownNameError."""
    if name in PRESETS:
        return PRESETS[name]
    if name in BASELINES:
        return baseline(name)
    raise UnknownNameError("preset or baseline", name, method_names())


def refuse_without_labels(dataset: PairDataset | FeatureDataset, method: Preset | Baseline) -> None:
    """Check, before any features are computed, that the dataset has the labels a method needs.

    Raises:
        TrainingError: it has none, or several per item and the method needs exactly one; the
            message names the methods that work with the dataset.
    """
    parts_with_labels = method.needs_labels()
    if not parts_with_labels:
        return
    if dataset.labels.ndim == 2 and not method.takes_several_labels:
        raise TrainingError(
            f"{dataset.name} has several labels per item, and {method.name} needs exactly one: it "
            f"fits a classifier in closed form. These accept several: {_names_taking_several()}"
        )
    if dataset.labelled.any():
        return
    without = [name for name in method_names() if not get_method(name).needs_labels()]
    what = "" if parts_with_labels == [method.name] else f" ({', '.join(parts_with_labels)})"
    raise TrainingError(
        f"{dataset.name} has no labels, and {method.name}{what} needs them. These do not: "
        f"{', '.join(without)}"
    )


def _names_taking_several() -> str:
    return ", ".join(name for name in method_names() if get_method(name).takes_several_labels)


def refuse_without_model(method: Preset | Baseline) -> None:
    """Check, before any data is read, that a method returns a model that can be saved.

    Raises:
        CMRError: it does not; the message names the baselines that do.
    """
    if isinstance(method, Preset) or method.is_projection:
        return
    saved = [name for name in BASELINES if baseline(name).is_projection]
    raise CMRError(
        f"{method.name} is not a pair of projectors and cannot be saved; evaluate it with "
        f"`cmr ablate`. Baselines that can be saved: {', '.join(saved)}"
    )
