from __future__ import annotations

import csv
import io

from cmr_hub.experiments.table_export import Sheet

SHEET = Sheet(
    ["row", "map", "n"],
    [["a_b & 50% of {x}", 0.123456789, 5], ["=HYPERLINK(1)", None, 0], ["−.1 ± .2 → c", 1.0, None]],
)


def test_csv_is_read_back_and_no_formula() -> None:
    rows = list(csv.reader(io.StringIO(SHEET.csv())))
    assert rows[0] == ["row", "map", "n"]
    assert rows[1] == ["a_b & 50% of {x}", "0.123457", "5"]
    assert rows[2] == ["'=HYPERLINK(1)", "", "0"]


def test_latex_escapes_and_aligns() -> None:
    lines = SHEET.latex().splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}"
    assert lines[4] == r"a\_b \& 50\% of \{x\} & 0.123 & 5 \\"
    assert lines[5] == r"=HYPERLINK(1) &  & 0 \\"
    assert lines[6] == r"--.1 $\pm$ .2 $\to$ c & 1.000 &  \\"
    assert (
        Sheet(["a"], [["\\input{x}"]])
        .latex()
        .splitlines()[4]
        .startswith(r"\textbackslash{}input\{x\}")
    )
