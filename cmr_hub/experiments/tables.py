"""Tables of results: mean and spread over seeds, and the significance of differences."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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
        remark: a remark to print above the table; may be empty.
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


@dataclass(frozen=True)
class Significance:
    """The difference of two methods over their common seeds.

    Attributes:
        n: number of common seeds.
        difference: mean of (first − second).
        low, high: 95 % confidence interval of the difference; None for fewer than two seeds.
        p: p-value of a two-sided paired t-test; None if undefined: fewer than two seeds, or the
            same difference for every seed.
    """

    n: int
    difference: float
    low: float | None
    high: float | None
    p: float | None


def significance(first: Mapping[int, float], second: Mapping[int, float]) -> Significance | None:
    """Compare figures by a t-test paired over seeds, which cancels effects common to both.

        t = d̄ / (s_d / √n),  interval d̄ ± t_{n−1, .975} · s_d / √n

    Source: Student, The probable error of a mean, Biometrika 6 (1908).

    Returns:
        None if no seed is in both.
    """
    from scipy.stats import t, ttest_rel

    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return None
    a = np.array([first[seed] for seed in seeds])
    b = np.array([second[seed] for seed in seeds])
    differences, n = a - b, len(seeds)
    mean = float(differences.mean())
    if n < 2:
        return Significance(n, mean, None, None, None)
    deviation = float(differences.std(ddof=1))
    half = float(t.ppf(0.975, n - 1)) * deviation / float(np.sqrt(n))
    # Differences that are equal up to rounding have no spread to test against.
    p = float(ttest_rel(a, b).pvalue) if deviation > 1e-12 else None
    return Significance(n, mean, mean - half, mean + half, p)


@dataclass(frozen=True)
class RowResult:
    """A row with the records of the seeds that have been run."""

    row: PlannedRow
    records: Mapping[int, RunRecord]
    """By seed."""
    against_reference: Significance | None

    @property
    def n(self) -> int:
        """Seeds that have been run."""
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
        """The row that the others are compared with."""
        return next(row for row in self.rows if row.row.label == self.table.reference)

    @property
    def shown(self) -> list[RowResult]:
        """The rows, each with its zero-shot row below it, if it has one."""
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


def table_result(table: PlannedTable, records: Iterable[RunRecord]) -> TableResult:
    """Fill a planned table with the records of its cells; the first record of a cell counts."""
    by_cell: dict[str, RunRecord] = {}
    for record in records:
        if record.cell is not None:
            by_cell.setdefault(record.cell, record)

    def found(row: PlannedRow) -> dict[int, RunRecord]:
        return {seed: by_cell[key] for seed, key in row.cells.items() if key in by_cell}

    reference = next((row for row in table.rows if row.label == table.reference), None)
    if reference is None:
        raise QueryError(f"table {table.id} has no row {shown(table.reference)}")
    compared = MEASURES[table.measure].compared
    reference_values = _figures(found(reference), compared)
    return TableResult(
        table,
        tuple(
            RowResult(
                row,
                found(row),
                None
                if row is reference
                else significance(_figures(found(row), compared), reference_values),
            )
            for row in table.rows
        ),
    )


def _figures(records: Mapping[int, RunRecord], figure: str) -> dict[int, float]:
    values = {seed: record.figure(figure) for seed, record in records.items()}
    return {seed: value for seed, value in values.items() if value is not None}


def write_csv(result: TableResult, path: str | Path) -> None:
    """Write one line per row, including zero-shot rows.

    Columns: settings, number of seeds, mean and standard deviation of every figure, and the
    difference to the reference with its 95 % interval and p-value.
    """
    header = ["row", "dataset", "protocol", "image_features", "text_features", "method", "n_seeds"]
    figures = result.measure.figures
    header += [f"{figure}_{kind}" for figure in figures for kind in ("mean", "std")]
    header += ["reference", "difference", "ci_low", "ci_high", "p"]
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
            difference: Sequence[float | None] = (None,) * 4
            if compared is not None:
                difference = (compared.difference, compared.low, compared.high, compared.p)
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
