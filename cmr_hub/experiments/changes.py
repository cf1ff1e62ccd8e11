"""Compare the results store with the last report."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmr_hub.outside import read_bytes

if TYPE_CHECKING:
    from cmr_hub.experiments.tables import TableResult


@dataclass(frozen=True)
class Change:
    """A row of a table whose figures differ from the last report.

    Attributes:
        n_before, n_after: number of seeds in the report and now.
        before, after: mean of the table's compared figure in the report and now.
    """

    table: str
    row: str
    n_before: int
    n_after: int
    before: float | None
    after: float | None


def changes(result: TableResult, results: str | Path) -> list[Change]:
    """Compare a table with the CSV that `cmr report` wrote for it.

    If the CSV is missing or cannot be read, every measured row is a change.
    """
    compared = result.measure.compared
    old = _read(Path(results) / f"{result.table.id}.csv", f"{compared}_mean")
    found = []
    for row in result.rows:
        n, mean = old.get(row.row.label, (0, None))
        now = row.mean(compared)
        same = mean is now or (
            mean is not None and now is not None and f"{now:.6g}" == f"{mean:.6g}"
        )
        if n != row.n or not same:
            found.append(Change(result.table.title, row.row.label, n, row.n, mean, now))
    return found


def _read(path: Path, column: str) -> dict[str, tuple[int, float | None]]:
    try:
        text = read_bytes(path).decode()
        return {
            row["row"]: (int(row["n_seeds"]), float(row[column]) if row[column] else None)
            for row in csv.DictReader(io.StringIO(text, newline=""))
        }
    except (OSError, KeyError, ValueError, TypeError, csv.Error):
        return {}
