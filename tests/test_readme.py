"""Every figure of the README stands in `results/`."""

import csv
import json
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
README = (HOME / "README.md").read_text(encoding="utf-8")
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


def short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def figures(table: str) -> dict[str, str]:
    with (HOME / "results" / f"{table}.csv").open(encoding="utf-8") as file:
        return {
            row["row"]: f"{short(float(row['map_avg_mean']))} ± {short(float(row['map_avg_std']))}"
            for row in csv.DictReader(file)
            if row["n_seeds"] != "0"
        }


@pytest.mark.parametrize("shown", METHODS)
def test_methods(shown):
    cells = [figures(table)[METHODS[shown]] for table in (*TABLES, "methods-wikipedia")]
    assert f"| {shown} | {' | '.join(cells)} |" in README


def default_rows(name: str, note: str = "") -> list[str]:
    found = json.loads((HOME / "results" / name).read_text(encoding="utf-8"))["figures"]
    rows = []
    for dataset, shown in (
        ("sketches", "sketches, 1,000 of held-out seeds"),
        ("pascal-sentence", "Pascal Sentence, 200 test pictures"),
        ("flickr8k", "Flickr8k, 1,000 validation pictures"),
    ):
        figures = found[dataset]
        recall = [short(figures["sentences"][f"recall_at_{k}"]) for k in (1, 5, 10)]
        of_class = short(figures["map_avg"]) if "map_avg" in figures else "no classes"
        rows.append(f"| {shown}{note} | {' | '.join(recall)} | {of_class} |")
    return rows


@pytest.mark.parametrize("row", default_rows("default.json"))
def test_the_default(row):
    assert row in README


@pytest.mark.parametrize(
    "row",
    [
        *default_rows("default.json", ", distilled first"),
        *default_rows("default-undistilled.json", ", not distilled"),
    ],
)
def test_what_distillation_brought(row):
    assert row in (HOME / "docs" / "default-release.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", ["methods-pascal-random", "methods-wikipedia"])
@pytest.mark.parametrize("shown", ["class posteriors", "FUME", "DSCMR", "ACMR"])
def test_where_ours_is_ahead(table, shown):
    with (HOME / "results" / f"{table}.csv").open(encoding="utf-8") as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    row = rows[METHODS[shown]]
    assert row["reference"] == "cmr-best"
    assert float(row["difference"]) < 0
    assert float(row["p"]) < 0.05


def test_fine_tuning():
    frozen, text, image = figures("fine-tuning").values()
    words = " ".join(README.split())
    assert f"come from {frozen} to {text} (one layer of the sentence encoder) or {image}" in words
