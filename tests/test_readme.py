"""Every figure of the README stands in `results/`."""

from pathlib import Path

import pytest
from shown import default_rows, figures, rows

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
METHODS = {
    "`cmr-best`": "cmr-best",
    "class posteriors": "class posteriors",
    "FUME": "FUME",
    "SDML": "SDML",
    "DSCMR": "DSCMR",
    "ACMR": "ACMR, as the paper has it",
    "CCA": "CCA",
}
TABLES = ("methods-pascal", "methods-pascal-random", "methods-pascal-validation")


@pytest.mark.parametrize("shown", METHODS)
def test_methods(shown):
    cells = [figures(table)[METHODS[shown]] for table in (*TABLES, "methods-wikipedia")]
    assert f"| {shown} | {' | '.join(cells)} |" in README


@pytest.mark.parametrize("row", default_rows("photos.json"))
def test_the_default(row):
    assert row in README


@pytest.mark.parametrize("table", ["methods-pascal-random", "methods-wikipedia"])
@pytest.mark.parametrize("shown", ["class posteriors", "FUME", "DSCMR", "ACMR"])
def test_where_ours_is_ahead(table, shown):
    row = rows(table)[METHODS[shown]]
    assert row["reference"] == "cmr-best"
    assert float(row["difference"]) < 0
    assert float(row["p"]) < 0.05
