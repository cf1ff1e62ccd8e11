"""Datasets as commands that take several of them name them: `sketches` or `sketches:8000/1000`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import typer

from cmr_hub.datasets import DATASETS, PairDataset, load_dataset
from cmr_hub.errors import CMRError

NamedDatasets: TypeAlias = Annotated[
    list[str],
    typer.Argument(help=f"NAME or NAME:PROTOCOL of a dataset: {', '.join(DATASETS)}."),
]


def load_pairs(names: Sequence[str]) -> list[PairDataset]:
    """Reads them all. Raises CMRError: one cannot be read, or has features and no pictures."""
    loaded = []
    for named in names:
        name, _, protocol = named.partition(":")
        dataset = load_dataset(name, protocol=protocol or None)
        if not isinstance(dataset, PairDataset):
            raise CMRError(f"{name} has no pictures to learn from")
        loaded.append(dataset)
    return loaded
