"""Every figure of the pages in `docs/` stands in `results/`."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from documents import HOME, text_of
from shown import default_rows, figures, rows, short

STUDY = " ".join(text_of("docs/study.md").split())
STUDY_LINES = text_of("docs/study.md").splitlines()
PUBLISHED = tomllib.loads(text_of("cmr_hub/experiments/published.toml"))
COMPARED = (
    "cmr-best",
    "class posteriors",
    "FUME",
    "SDML",
    "DSCMR",
    "ACMR, as the paper has it",
    "CCA",
)
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
OF_2019 = {
    "text-features": {
        "TF-IDF": "bow",
        "word2vec, trained here": "word2vec",
        "GloVe 6B, 50-d": "glove",
    },
    "third-loss": {
        "adversarial": "adversarial",
        "MMD": "mmd",
        "CORAL": "coral",
        "correlation": "correlation",
    },
    "losses": {
        "label": "label",
        "label + triplet": "label-triplet",
        "label + triplet + adversarial": "all-losses",
    },
}


@pytest.mark.parametrize("shown", METHODS)
def test_methods(shown) -> None:
    cells = [figures(table)[METHODS[shown]] for table in (*TABLES, "methods-wikipedia")]
    assert f"| {shown} | {' | '.join(cells)} |" in STUDY_LINES


@pytest.mark.parametrize("table", ["methods-pascal-random", "methods-wikipedia"])
@pytest.mark.parametrize("shown", ["class posteriors", "FUME", "DSCMR", "ACMR"])
def test_where_ours_is_ahead(table, shown) -> None:
    row = rows(table)[METHODS[shown]]
    assert row["reference"] == "cmr-best"
    assert float(row["difference"]) < 0
    assert float(row["p"]) < 0.05


@pytest.mark.parametrize("table", OF_2019)
def test_what_is_not_found_again(table) -> None:
    for name, ours in figures(table).items():
        theirs = ""
        if key := OF_2019[table].get(name):
            average = PUBLISHED[f"study-2019-{key}"]["figures"]["wikipedia"]["average"]
            theirs = f"{average:.3f}".removeprefix("0") + " "
        assert f"| {name} | {ours} | {theirs}|" in STUDY_LINES


def test_fine_tuning() -> None:
    frozen, text, image = figures("fine-tuning").values()
    assert f"come from {frozen} to {text} (one layer of the sentence encoder) or {image}" in STUDY


def test_who_is_first_on_the_sorted_splits() -> None:
    for table, name, sentence in (
        ("methods-pascal", "class posteriors", "on 800/200 plain class posteriors come first ({})"),
        ("methods-pascal-validation", "FUME", "on 800/100/100 FUME ({})"),
    ):
        found = rows(table)
        assert max(found, key=lambda row: float(found[row]["map_avg_mean"])) == name
        assert sentence.format(figures(table)[name]) in STUDY


def test_how_much_seeds_and_splits_matter() -> None:
    spread = {}
    for table in ("methods-pascal-random", "methods-pascal"):
        found = rows(table)
        of = [float(found[name]["map_avg_std"]) for name in COMPARED]
        spread[table] = f"{min(of):.3f} to {max(of):.3f}".replace("0.", ".")
    assert f"vary by {spread['methods-pascal-random']}, over seeds" in STUDY
    assert f"on the sorted split by {spread['methods-pascal']}." in STUDY
    assert f"the table of methods has {len(rows('methods-pascal'))} rows" in STUDY


def test_paper_and_code() -> None:
    found = figures("methods-pascal")
    paper, code = (found[f"ACMR, as the {which} has it"] for which in ("paper", "code"))
    assert f"the paper's losses reach {paper} and the code's {code}" in STUDY


@pytest.mark.parametrize(
    "row",
    [
        *default_rows("default.json", ", distilled first"),
        *default_rows("default-undistilled.json", ", not distilled"),
    ],
)
def test_what_distillation_brought(row) -> None:
    assert row in text_of("docs/sketch-release.md")


@pytest.mark.parametrize("row", default_rows("photos.json"))
def test_what_the_default_finds(row) -> None:
    assert row in text_of("docs/photos-release.md")


def test_what_fits_everyday_queries() -> None:
    found = json.loads(text_of("results/natural-queries.json"))
    assert found["model"] == "photos"
    said = f"{found['precision_at_10']:.2f} of the first ten fit"
    assert said in " ".join(text_of("docs/photos-release.md").split())


def test_which_shape_a_picture_is_given() -> None:
    found = json.loads(text_of("results/shapes.json"))["figures"]
    recall = [short(found[shape]["recall_at_10"]) for shape in ("as they are", "central square")]
    words = " ".join(text_of("docs/photos-release.md").split())
    assert f"(Recall@10 {recall[0]} and {recall[1]})" in words
    assert f"padding ({short(found['padded']['recall_at_10'])})" in words


def test_what_can_be_chosen() -> None:
    """The lists of presets, encoders and datasets name all that there are."""
    from cmr_hub.datasets import DATASETS
    from cmr_hub.encoders.images import IMAGE_ENCODERS
    from cmr_hub.encoders.texts import TEXT_ENCODERS

    named = set(re.findall(r"`([\w-]+)`", text_of("docs/train-your-own.md")))
    assert {*DATASETS, *IMAGE_ENCODERS, *TEXT_ENCODERS} <= named
    assert (HOME / "grids" / "study.toml").is_file()


def test_how_much_the_tests_run() -> None:
    """Of the lines of the package."""
    found = json.loads(text_of("results/coverage.json"))["all"]
    said = f"Of {found['lines']:,} lines {found['share']:.1%} are run".replace("%", " %")
    assert said in " ".join(text_of("docs/tests.md").split())


def test_how_well_the_tests_test() -> None:
    """Of the faults that were put in."""
    found = json.loads(text_of("results/mutation.json"))
    left = found["survivors"]
    assert all(fault["why"] for fault in left)
    words = " ".join(text_of("docs/tests.md").split())
    said = f"Of {found['mutants']:,} faults {found['killed']:,} are noticed; {len(left)} are left"
    assert said in words


def test_what_stands_out() -> None:
    found = json.loads((HOME / "results" / "clear.json").read_text(encoding="utf-8"))
    lines = text_of("docs/search-page.md").splitlines()
    assert f"`--clear {found['recommended']}` is a good cut" in " ".join(lines)
    for name, title in (
        ("pascal-sentence", "Pascal Sentence, 200 test pictures"),
        ("flickr8k", "Flickr8k, 1,000 validation pictures"),
    ):
        cuts = {"none": found["datasets"][name]["no_cut"], **found["datasets"][name]["cuts"]}
        for cut in ("none", "2.0", "2.5", "3.0"):
            row = cuts[cut]
            values = [row["precision"], row.get("by_score", row)["precision"]]
            values += [row["recall"], row["nothing"], row["answered"]]
            cells = [f"{value:.3f}".removeprefix("0") for value in values]
            assert f"| {title} | {cut} | {' | '.join(cells)} |" in lines


def test_how_sure_names_are() -> None:
    """The scale of zero-shot probabilities is that of the least calibration error."""
    from cmr_hub.models.zero_shot import DEFAULT_LOGIT_SCALE

    found = json.loads(text_of("results/zero-shot.json"))
    scales, errors = found["scales"], found["mean"]["ece"]

    def best(row: dict[str, list[float]]) -> int:
        return scales[row["ece"].index(min(row["ece"]))]

    assert scales[errors.index(min(errors))] == DEFAULT_LOGIT_SCALE
    own = [best(row) for row in found["models"]]
    words = " ".join(text_of("docs/your-own-pictures.md").split())
    error = f"{min(errors):.3f}".replace("0.", ".")
    assert f"`model.logit_scale`, {DEFAULT_LOGIT_SCALE:g} for models" in words
    assert f"{len(own)} models were best calibrated on average (error {error})" in words
    assert f"at {min(own)} to {max(own)}" in words
    assert f"would be at {best(found['seen'])}, but" in words
