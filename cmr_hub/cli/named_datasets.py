"""Load datasets by name and protocol, e.g. `sketches:8000/1000`."""

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
    """Load datasets. Raises CMRError if one cannot be read, or has features instead of pictures."""
    loaded = []
    for argument in names:
        name, _, protocol = argument.partition(":")
        dataset = load_dataset(name, protocol=protocol or None)
        if not isinstance(dataset, PairDataset):
            raise CMRError(f"{name} has no pictures to learn from")
        loaded.append(dataset)
    return loaded
