"""Read published figures of other systems, each with its protocol."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from cmr_hub.errors import UnknownNameError

FILE = "published.toml"
SAME_DATASET = {"wikipedia-features": "wikipedia"}
"""Datasets that contain the same data as another one in a different form."""

Share = Annotated[float, Field(gt=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PublishedFigure(_Strict):
    """The MAP of one system on one dataset, and how it was measured."""

    i2t: Share | None = None
    t2i: Share | None = None
    average: Share
    measure: str
    """MAP@all, or a note that the depth is not stated."""
    split: str
    image_features: str
    text_features: str
    epoch: str
    """The data on which the number of epochs was chosen."""
    note: str = ""

    @property
    def protocol(self) -> str:
        """Return the protocol as one line."""
        parts = [
            self.measure,
            f"split {self.split}",
            f"images: {self.image_features}",
            f"texts: {self.text_features}",
            f"epoch chosen on: {self.epoch}",
        ]
        return "; ".join([*parts, self.note] if self.note else parts)


class PublishedSystem(_Strict):
    """A published system with its source and figures."""

    name: str
    source: str
    figures: dict[str, PublishedFigure]
    """By dataset."""


@functools.cache
def _load_systems() -> dict[str, PublishedSystem]:
    file = resources.files("cmr_hub.experiments") / FILE
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    return {key: PublishedSystem.model_validate(system) for key, system in content.items()}


def published_keys() -> list[str]:
    """Return the keys of all systems."""
    return list(_load_systems())


def published_systems(keys: Iterable[str]) -> list[PublishedSystem]:
    """Return the systems with these keys. Raises UnknownNameError."""
    for key in keys:
        if key not in _load_systems():
            raise UnknownNameError("published system", key, published_keys())
    return [_load_systems()[key] for key in keys]


def published_figures(
    keys: Iterable[str], dataset: str
) -> list[tuple[PublishedSystem, str, PublishedFigure]]:
    """Return the figures of systems on a dataset, each with the system and the dataset's name.

    If no system has a figure on this dataset, return their figures on other datasets.
    """
    found = [
        (system, name, figure)
        for system in published_systems(keys)
        for name, figure in system.figures.items()
    ]
    wanted = SAME_DATASET.get(dataset, dataset)
    return [one for one in found if one[1] == wanted] or found
