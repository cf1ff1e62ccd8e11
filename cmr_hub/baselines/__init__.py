"""Baselines by name; to add one, write a module and register it here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmr_hub.registry import Registry

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Baseline

BASELINES = Registry(
    "baseline",
    "cmr_hub.baselines",
    {
        "random": "cmr_hub.baselines.chance:RandomBaseline",
        "label": "cmr_hub.baselines.label:LabelBaseline",
        "cca": "cmr_hub.baselines.cca:CCABaseline",
        "kcca": "cmr_hub.baselines.kcca:KCCABaseline",
        "pls": "cmr_hub.baselines.pls:PLSBaseline",
        "posterior": "cmr_hub.baselines.posterior:PosteriorBaseline",
        "posterior-cca": "cmr_hub.baselines.posterior_cca:PosteriorCCABaseline",
        "paired-neighbours": "cmr_hub.baselines.paired_neighbours:PairedNeighboursBaseline",
    },
)


def baseline(name: str) -> Baseline:
    """Return the baseline registered under `name`. Raises UnknownNameError."""
    instance: Baseline = BASELINES[name]()
    return instance
