"""Tables of results: mean and spread over seeds, and the significance of differences."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.atomic import atomic_file
from cmr_hub.errors import QueryError, shown
from cmr_hub.experiments.plan import PlannedRow, PlannedTable

if TYPE_CHECKING:
    from cmr_hub.experiments.run_record import RunRecord


@dataclass(frozen=True)
class Column:
    """A column of a table: its header and the figures that it shows."""

    header: str
    figures: tuple[str, ...]
    spread: bool = True
    """Whether to show the standard deviation after the mean."""


@dataclass(frozen=True)
class Measure:
    """The figures shown by a kind of table.

    Attributes:
        columns: columns of the report; the CSV has the same figures. `recall_i2t@5` is the entry
            "5" of a record's `recall_i2t`.
        compared: the figure by which rows are ranked and compared.
        meaning: description of that figure.
        remark: text to print above the table; may be empty.
    """

    columns: tuple[Column, ...]
    compared: str
    meaning: str
    remark: str = ""

    @property
    def figures(self) -> list[str]:
        """All figures, in the order of the columns."""
        return [figure for column in self.columns for figure in column.figures]


MEASURES = {
    "map": Measure(
        (
            Column("image→text", ("map_i2t",)),
            Column("text→image", ("map_t2i",)),
            Column("**average**", ("map_avg",)),
            *(
                Column(f"R@{k} i→t / t→i", (f"recall_i2t@{k}", f"recall_t2i@{k}"), spread=False)
                for k in (1, 10)
            ),
            Column("MAP@50", ("map50_avg",)),
            Column("accuracy image / text", ("image_accuracy", "text_accuracy"), spread=False),
        ),
        compared="map_avg",
        meaning="average of both directions",
    ),
    "recall": Measure(
        (
            *(
                Column(f"{way} R@{k}", (f"recall_{short}@{k}",))
                for way, short in (("image→text", "i2t"), ("text→image", "t2i"))
                for k in (1, 5, 10)
            ),
            Column("**average**", ("recall_avg",)),
        ),
        compared="recall_avg",
        meaning="average of the six recalls",
        remark="R@K: the share of queries that have an own partner among the first K hits. Every "
        "caption is a text of its own; no caption and no picture of this test was trained on.",
    ),
    "content": Measure(
        (Column("**image→image**", ("map_i2i",)),),
        compared="map_i2i",
        meaning="MAP@all",
        remark="The test images asked against each other by Euclidean distance between their "
        "features: no text, nothing learnt, nothing random. MAP@all, relevant = same class.",
    ),
}
"""Measures by the `measure` field of a table in a grid."""


LEVEL = 0.05
"""Significance level: a difference is significant if p is below it."""


@dataclass(frozen=True)
class Significance:
    """The difference of two methods over their common seeds.

    Attributes:
        n: number of common seeds.
        difference: mean of (first − second).
        low, high: 95 % confidence interval of the difference; None for fewer than two seeds.
        p: p-value of a two-sided paired t-test; None if undefined: fewer than two seeds, or the
            same difference for every seed.
        p_holm: the p-value after Holm's correction for the other comparisons; see `holm`.
    """

    n: int
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the difference is significant, after the correction if there was one."""
        p = self.p if self.p_holm is None else self.p_holm
        return p is not None and p < LEVEL


def significance(
    first: Mapping[int, float], second: Mapping[int, float], overlap: float = 0.0
) -> Significance | None:
    """Compare figures by a t-test paired over seeds, which cancels common effects of a seed.

        t = d̄ / (s_d √(1/n + overlap)),  interval d̄ ± t_{n−1, .975} · s_d √(1/n + overlap)

    Sources: Student, The probable error of a mean, Biometrika 6 (1908); Nadeau and Bengio,
    Inference for the generalization error, Machine Learning 52 (2003), section 5.1.

    Args:
        first, second: figures by seed.
        overlap: test pairs / training pairs if every seed draws its own split, because such splits
            share pairs and their figures are not independent; 0 for a fixed split.

    Returns:
        None if no seed is in both.
    """
    from scipy.stats import t

    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return None
    differences, n = np.array([first[seed] - second[seed] for seed in seeds]), len(seeds)
    mean = float(differences.mean())
    if n < 2:
        return Significance(n, mean, None, None, None)
    deviation = float(differences.std(ddof=1))
    error = deviation * float(np.sqrt(1 / n + overlap))
    half = float(t.ppf(0.975, n - 1)) * error
    # Differences that are equal up to rounding have no spread to test against.
    p = float(2 * t.sf(abs(mean) / error, n - 1)) if deviation > 1e-12 else None
    return Significance(n, mean, mean - half, mean + half, p)


def holm(compared: Sequence[Significance | None]) -> list[Significance | None]:
    """Correct the p-values of several comparisons by Holm's step-down method.

    The k-th smallest of m p-values is multiplied by m − k + 1, and the results are made monotonic.
    Comparisons without a p-value are unchanged and not counted.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of
    Statistics 6 (1979).
    """
    tested = [
        (one.p, place, one) for place, one in enumerate(compared) if one and one.p is not None
    ]
    found, highest = list(compared), 0.0
    for rank, (p, place, one) in enumerate(sorted(tested)):
        highest = max(highest, min(1.0, (len(tested) - rank) * p))
        found[place] = replace(one, p_holm=highest)
    return found


def split_overlap(record: RunRecord) -> float:
    """Return test pairs / training pairs of a split drawn by its seed; 0 for a fixed split."""
    pairs = record.pairs or {}
    drawn = record.protocol == f"random-{record.seed}" and pairs.get("train")
    return float(pairs["test"] / pairs["train"]) if drawn else 0.0


@dataclass(frozen=True)
class RowResult:
    """A row with the records of the seeds that have been run."""

    row: PlannedRow
    records: Mapping[int, RunRecord]
    """By seed."""
    against_reference: Significance | None

    @property
    def overlap(self) -> float:
        """Test pairs / training pairs if each seed has a separate split; see `significance`."""
        return max((split_overlap(record) for record in self.records.values()), default=0.0)

    def against(self, other: RowResult, figure: str) -> Significance | None:
        """Compare a figure with another row's; None without a common seed."""
        mine, theirs = (_figures(row.records, figure) for row in (self, other))
        return significance(mine, theirs, max(self.overlap, other.overlap))

    @property
    def n(self) -> int:
        """Number of seeds that have been run."""
        return len(self.records)

    def values(self, figure: str) -> dict[int, float]:
        """Return a figure by seed; empty if any run does not have it."""
        found = _figures(self.records, figure)
        return found if len(found) == len(self.records) else {}

    def mean(self, figure: str) -> float | None:
        """Return the mean over seeds; None without figures."""
        values = list(self.values(figure).values())
        return float(np.mean(values)) if values else None

    def std(self, figure: str) -> float | None:
        """Return the standard deviation over seeds (n − 1); None for fewer than two."""
        values = list(self.values(figure).values())
        return float(np.std(values, ddof=1)) if len(values) > 1 else None

    @property
    def zero_shot(self) -> RowResult | None:
        """The same runs before training; None if any run lacks these figures."""
        found = {
            seed: before
            for seed, record in self.records.items()
            if (before := record.before_training()) is not None
        }
        if not found or len(found) < len(self.records):
            return None
        label = f"{self.row.label}, zero-shot"
        row = self.row.model_copy(update={"label": label, "method": "zero-shot", "published": ()})
        return RowResult(row, found, against_reference=None)


@dataclass(frozen=True)
class TableResult:
    """A table with its results."""

    table: PlannedTable
    rows: tuple[RowResult, ...]

    @property
    def reference(self) -> RowResult:
        """The row with which the others are compared."""
        return next(row for row in self.rows if row.row.label == self.table.reference)

    @property
    def shown(self) -> list[RowResult]:
        """The rows, each followed by its zero-shot row if it has one."""
        pairs = ((row, row.zero_shot) for row in self.rows)
        return [row for pair in pairs for row in pair if row is not None]

    @property
    def measure(self) -> Measure:
        """The figures that the table shows."""
        return MEASURES[self.table.measure]

    @property
    def ranked(self) -> list[RowResult]:
        """The rows that have results, the best first."""
        measured = [row for row in self.rows if row.n]
        return sorted(measured, key=lambda row: -(row.mean(self.measure.compared) or 0.0))

    @property
    def tied(self) -> list[RowResult]:
        """The rows that are not significantly worse than the best one, after Holm's correction."""
        first, *others = self.ranked
        tests = holm([first.against(row, self.measure.compared) for row in others])
        return [
            row
            for row, test in zip(others, tests, strict=True)
            if test is None or not test.significant
        ]


def table_result(table: PlannedTable, records: Iterable[RunRecord]) -> TableResult:
    """Fill a planned table with the records of its cells; the first record of a cell counts."""
    by_cell: dict[str, RunRecord] = {}
    for record in records:
        if record.cell is not None:
            by_cell.setdefault(record.cell, record)

    def found(row: PlannedRow) -> dict[int, RunRecord]:
        return {seed: by_cell[key] for seed, key in row.cells.items() if key in by_cell}

    rows = [RowResult(row, found(row), None) for row in table.rows]
    reference = next((row for row in rows if row.row.label == table.reference), None)
    if reference is None:
        raise QueryError(f"table {table.id} has no row {shown(table.reference)}")
    compared = MEASURES[table.measure].compared
    tests = holm([None if row is reference else row.against(reference, compared) for row in rows])
    return TableResult(
        table,
        tuple(replace(row, against_reference=test) for row, test in zip(rows, tests, strict=True)),
    )


def _figures(records: Mapping[int, RunRecord], figure: str) -> dict[int, float]:
    values = {seed: record.figure(figure) for seed, record in records.items()}
    return {seed: value for seed, value in values.items() if value is not None}


def write_csv(result: TableResult, path: str | Path) -> None:
    """Write one line per row, including zero-shot rows.

    Columns: settings, number of seeds, mean and standard deviation of every figure, and the
    difference to the reference with its 95 % interval and p-values.
    """
    header = ["row", "dataset", "protocol", "image_features", "text_features", "method", "n_seeds"]
    figures = result.measure.figures
    header += [f"{figure}_{kind}" for figure in figures for kind in ("mean", "std")]
    header += ["reference", "difference", "ci_low", "ci_high", "p", "p_holm"]
    with (
        atomic_file(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for found in result.shown:
            row, compared = found.row, found.against_reference
            what = [row.label, row.data, row.protocol, row.image_encoder, row.text_encoder]
            values = [
                value for figure in figures for value in (found.mean(figure), found.std(figure))
            ]
            difference: Sequence[float | None] = (None,) * 5
            if compared is not None:
                difference = astuple(compared)[1:]
            writer.writerow(
                [
                    *what,
                    row.method,
                    found.n,
                    *map(_number, values),
                    result.table.reference,
                    *map(_number, difference),
                ]
            )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
