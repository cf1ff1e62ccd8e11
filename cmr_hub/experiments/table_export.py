"""Export a plain table as CSV or LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = "str | int | float | None"

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "±": r"$\pm$",
        "→": r"$\to$",
        "−": "--",
        "–": "--",
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    }
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Sheet:
    """A header, and rows with one value per column."""

    header: Sequence[str]
    rows: Sequence[Sequence[Value]]

    def csv(self) -> str:
        """Return CSV with six significant digits; texts that look like formulas are quoted."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows([_cell(value) for value in row] for row in self.rows)
        return file.getvalue()

    def latex(self) -> str:
        """Return a `tabular` with booktabs rules; numbers have three decimals."""
        numbers = [
            any(isinstance(row[column], (int, float)) for row in self.rows)
            for column in range(len(self.header))
        ]
        lines = [
            rf"\begin{{tabular}}{{{''.join('r' if number else 'l' for number in numbers)}}}",
            r"\toprule",
            _latex_line(self.header),
            r"\midrule",
            *(_latex_line(row) for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        return "\n".join(lines) + "\n"


def _cell(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _latex_line(row: Sequence[Value]) -> str:
    cells = (
        f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)
        for value in row
    )
    return " & ".join(cell.translate(_LATEX).replace("\n", " ") for cell in cells) + r" \\"
