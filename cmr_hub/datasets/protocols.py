"""Splits of datasets: the protocols of the literature, and held-out parts of training data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cmr_hub.types import IntArray, LabelArray

SPLITS = ("train", "validation", "test")
SplitArray: TypeAlias = npt.NDArray[np.str_]
"""(N,) strings from `SPLITS`."""


def random_seed(protocol: str) -> int | None:
    """Return the seed of a protocol `random-<seed>`, or None for any other name."""
    match = re.fullmatch(r"random-([0-9]{1,9})", protocol)
    return int(match[1]) if match else None


def tail_split(
    ids: Sequence[str], labels: IntArray, *, validation: int, test: int, seed: int | None = None
) -> SplitArray:
    """Return (N,) splits that hold out the end of every class.

    The items of a class are sorted by id and, with a `seed`, shuffled. The last `test` of them are
    test, the `validation` items before these are validation, and the others are train. In a class
    that is too small, test takes precedence over validation.
    """
    splits = np.full(len(ids), "train", dtype=np.array(SPLITS).dtype)
    by_id = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
    generator = None if seed is None else np.random.default_rng(seed)
    for label in np.unique(labels):
        members = by_id[labels[by_id] == label]
        if generator is not None:
            members = generator.permutation(members)
        backwards = members[::-1]
        splits[backwards[:test]] = "test"
        splits[backwards[test : test + validation]] = "validation"
    return splits


def stratified_holdout(labels: LabelArray, fraction: float, seed: int) -> tuple[IntArray, IntArray]:
    """Return the positions to fit on and those to hold out, each sorted; together all of 0..N-1.

    In every class of n ≥ 2 items, round(fraction·n) random items are held out, at least one and
    never all; a class of one item is not held out. Items without a label (-1) are one class, and so
    are all items of (N, C) rows of several labels each, of which most combinations occur once.

    Raises ValueError for a fraction outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"the held-out fraction must lie between 0 and 1, not {fraction}")
    generator = np.random.default_rng(seed)
    if labels.ndim == 2:
        labels = np.zeros(len(labels), dtype=np.int64)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        held_out[members[:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
