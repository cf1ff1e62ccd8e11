"""Group runs that differ only in the seed; filter, rank and compare the groups."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from cmr_hub.experiments.tables import Significance, holm, significance, split_overlap

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.experiments.run_index import RunIndex
    from cmr_hub.experiments.run_record import RunRecord

FACTORS: Final = ("method", "texts", "images", "objective", "protocol", "dataset")
"""The factors that describe a group."""

METRICS: Final = {
    "MAP@all": "map",
    "MAP@50": "map50",
    **{f"R@{k}": f"recall@{k}" for k in (1, 5, 10)},
    **{f"P@{k}": f"precision@{k}" for k in (1, 5, 10)},
}
"""Names of record figures, without the direction, by the name of the metric."""

DIRECTIONS: Final = {"average": "avg", "image→text": "i2t", "text→image": "t2i"}


@dataclass(frozen=True, eq=False)
class RunGroup:
    """Runs that differ only in the seed.

    Attributes:
        index: the index of all runs.
        rows: rows of its runs in the index, in the order of their seeds.
        facts: JSON text of `factors` and `settings`.
    """

    index: RunIndex
    rows: npt.NDArray[np.int64]
    facts: str

    @cached_property
    def factors(self) -> dict[str, str]:
        """Factors by name; see `FACTORS`."""
        return json.loads(self.facts)[0]  # type: ignore[no-any-return]

    @cached_property
    def settings(self) -> dict[str, str]:
        """All other settings that affect the result, flattened."""
        return json.loads(self.facts)[1]  # type: ignore[no-any-return]

    @cached_property
    def key(self) -> str:
        """A short, stable identifier for URLs."""
        return hashlib.sha256(self.facts.encode()).hexdigest()[:10]

    @property
    def n(self) -> int:
        """Number of seeds."""
        return len(self.rows)

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The names of the losses of its objective; empty for a closed form."""
        return tuple(json.loads(self.index.table["terms"][int(self.rows[0])].as_py()))

    def load(self) -> list[RunRecord]:
        """Read the whole records, in the order of their seeds. Raises ModelFormatError."""
        return self.index.load(self.rows)

    def load_first(self) -> RunRecord:
        """Read the record of the smallest seed. Raises ModelFormatError."""
        return self.index.load(self.rows[:1])[0]

    def values(self, metric: str, direction: str) -> dict[int, float]:
        """Return a metric by seed, for the seeds that have it.

        Args:
            metric: a key of `METRICS`.
            direction: a key of `DIRECTIONS`.
        """
        figures = self.index.figure(METRICS[metric], DIRECTIONS[direction], self.rows)
        seeds = self.index.numbers["seed"][self.rows]
        known = ~np.isnan(figures)
        return dict(zip(seeds[known].tolist(), figures[known].tolist(), strict=True))

    def mean(self, metric: str, direction: str) -> float | None:
        """Return the mean over seeds; None without values."""
        values = list(self.values(metric, direction).values())
        return float(np.mean(values)) if values else None

    def std(self, metric: str, direction: str) -> float | None:
        """Return the standard deviation over seeds (n − 1); None for fewer than two."""
        values = list(self.values(metric, direction).values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    def per_class(self, direction: str) -> dict[str, float]:
        """Return MAP@all by class, as the mean over seeds; empty without classes."""
        ways = _ways(direction)
        found: defaultdict[str, list[float]] = defaultdict(list)
        for record in self.load():
            names = record.classes or []
            for way in ways:
                for label, figure in (getattr(record, f"per_class_map_{way}") or {}).items():
                    name = names[int(label)] if _is_class_index(label, names) else label
                    found[name].append(float(figure))
        count = self.n * len(ways)
        return {name: sum(v) / count for name, v in sorted(found.items()) if len(v) == count}

    def precision_recall(self, direction: str) -> tuple[list[float], list[float]] | None:
        """Return recall levels and the interpolated precision at them, as the mean over seeds."""
        records = self.load()
        curves = [
            getattr(record, f"pr_curve_{way}") for record in records for way in _ways(direction)
        ]
        levels = records[0].pr_recall
        complete = [curve for curve in curves if curve and len(curve) == len(levels or [])]
        if not levels or len(complete) < len(curves):
            return None
        return list(levels), [float(value) for value in np.mean(complete, axis=0)]


def _is_class_index(label: str, names: Sequence[str]) -> bool:
    """Return whether a label is the index of a class, as a JSON key."""
    short = label.isascii() and label.isdigit() and len(label) <= len(str(len(names)))
    return short and int(label) < len(names)


def _ways(direction: str) -> tuple[str, ...]:
    way = DIRECTIONS[direction]
    return ("i2t", "t2i") if way == "avg" else (way,)


def grouped(index: RunIndex) -> list[RunGroup]:
    """Group runs, in the order of first appearance; the first run of each seed counts.

    The settings of closed-form methods are ignored, because validation may choose different ones
    for every seed.
    """
    facts = index.table["facts"].combine_chunks()
    numbers, seeds = facts.indices.to_numpy(), index.numbers["seed"]
    rows = np.lexsort((seeds, numbers))
    is_new = np.diff(numbers[rows], prepend=-1) != 0
    rows = rows[is_new | (np.diff(seeds[rows], prepend=0) != 0)]
    parts = np.split(rows, np.flatnonzero(np.diff(numbers[rows])) + 1)
    return [
        RunGroup(index, part, facts.dictionary[int(numbers[part[0]])].as_py())
        for part in sorted((part for part in parts if len(part)), key=np.min)
    ]


def chosen(
    groups: Iterable[RunGroup],
    wanted: Mapping[str, Sequence[str]],
    terms: Sequence[str] = (),
) -> list[RunGroup]:
    """Return the groups whose factors have wanted values and whose objective has all the terms.

    A factor without wanted values does not filter.
    """
    return [
        group
        for group in groups
        if all(not values or group.factors[name] in values for name, values in wanted.items())
        and set(terms) <= set(group.terms)
    ]


def telling_factors(groups: Sequence[RunGroup]) -> list[str]:
    """Return the factors in which the groups differ, or the method if there are none."""
    telling = [name for name in FACTORS if len({group.factors[name] for group in groups}) > 1]
    return telling or ["method"]


def grouped_names(groups: Sequence[RunGroup], apart: str) -> list[str]:
    """Name each group, ignoring one factor: groups that differ only in it share a name."""
    telling = [name for name in telling_factors(groups) if name != apart]
    return [name or "all" for name in _factor_names(groups, telling)]


def _factor_names(groups: Sequence[RunGroup], telling: Sequence[str]) -> list[str]:
    objectives: defaultdict[str, set[str]] = defaultdict(set)
    for group in groups:
        objectives[group.factors["method"]].add(group.factors["objective"])

    def name_of(group: RunGroup) -> str:
        # The method implies the objective, unless it occurs with several.
        is_implied = "method" in telling and len(objectives[group.factors["method"]]) == 1
        parts = [name for name in telling if name != "objective" or not is_implied]
        return " · ".join(group.factors[name] for name in parts)

    return [name_of(group) for group in groups]


def labels(groups: Sequence[RunGroup], telling: Sequence[str]) -> list[str]:
    """Name each group by factors and, if they are ambiguous, by the settings that differ.

    Args:
        groups: groups to name.
        telling: names of the factors to use.
    """
    named = zip(groups, _factor_names(groups, telling), strict=True)
    names = [name or group.factors["method"] for group, name in named]
    alike: defaultdict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        alike[name].append(place)
    for places in alike.values():
        if len(places) > 1:
            for place, differs in zip(
                places, _differences([groups[place] for place in places]), strict=True
            ):
                names[place] += f" · {differs}"
    return names


_SHOWN_DIFFERENCES: Final = 3


def _differences(groups: Sequence[RunGroup]) -> list[str]:
    keys = sorted({key for group in groups for key in group.settings})
    differing = [key for key in keys if len({group.settings.get(key) for group in groups}) > 1]
    named = []
    for number, group in enumerate(groups, start=1):
        parts = [
            f"{key} {group.settings.get(key, 'none')[:24]}"
            for key in differing[:_SHOWN_DIFFERENCES]
        ]
        named.append(", ".join(parts) or f"no. {number}")
    if len(set(named)) < len(named):
        named = [f"{name} (no. {number})" for number, name in enumerate(named, start=1)]
    return named


def ranked(groups: Iterable[RunGroup], metric: str, direction: str) -> list[RunGroup]:
    """Return the groups that have the metric, the best mean first."""
    means = [(group.mean(metric, direction), group) for group in groups]
    measured = [(mean, group) for mean, group in means if mean is not None]
    return [group for _, group in sorted(measured, key=lambda pair: -pair[0])]


def against(
    groups: Iterable[RunGroup], reference: RunGroup, metric: str, direction: str
) -> list[Significance | None]:
    """Test the difference of each group to the reference, paired over seeds, like `cmr report`.

    The result is None for the reference itself and for groups without a common seed.
    """
    baseline, overlap = reference.values(metric, direction), split_overlap(reference.load_first())
    return holm(
        [
            None
            if group is reference
            else significance(group.values(metric, direction), baseline, overlap)
            for group in groups
        ]
    )


@dataclass(frozen=True)
class FactorGrid:
    """The best groups for all pairs of values of two factors.

    Attributes:
        rows, columns: values of the two factors.
        best: the group with the best mean by row and column; None if there is no group.
        counts: number of groups by row and column.
    """

    rows: list[str]
    columns: list[str]
    best: list[list[RunGroup | None]]
    counts: list[list[int]]


def factor_grid(
    groups: Sequence[RunGroup], row: str, column: str, metric: str, direction: str
) -> FactorGrid:
    """Find the best group for every pair of values of two factors."""
    rows = sorted({group.factors[row] for group in groups})
    columns = sorted({group.factors[column] for group in groups})
    best: dict[tuple[str, str], RunGroup] = {}
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for group in ranked(groups, metric, direction):
        place = group.factors[row], group.factors[column]
        best.setdefault(place, group)
        counts[place] += 1
    return FactorGrid(
        rows,
        columns,
        [[best.get((r, c)) for c in columns] for r in rows],
        [[counts[r, c] for c in columns] for r in rows],
    )
