"""Every figure in `docs/` matches a file in `results/`."""

from __future__ import annotations

import json
import re

import pytest
from documents import HOME, text_of
from shown import default_rows, short


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


def test_which_copies_are_found() -> None:
    found = json.loads(text_of("results/duplicates.json"))
    again = list(found["found"].values())
    words = " ".join(text_of("docs/your-own-pictures.md").split())
    assert (
        f"with {found['changed']} photographs of Pascal Sentence, {again[0]} copies were detected "
        f"as JPEG of quality 20, {again[1]} at half the size, {again[2]} at a width of 160 pixels, "
        f"{again[3]} when 15 % brighter, and {again[4]} when cropped"
    ) in words
    wrong = found["different_files_called_the_same"]
    assert f"Among {found['pictures']:,} photographs, {wrong} pairs" in words
    assert f"{found['alike_cpu_seconds']} seconds of CPU for {found['alike_vectors']:,}" in words


def test_which_shape_a_picture_is_given() -> None:
    found = json.loads(text_of("results/shapes.json"))["figures"]
    recall = [short(found[shape]["recall_at_10"]) for shape in ("as they are", "central square")]
    words = " ".join(text_of("docs/photos-release.md").split())
    assert f"(Recall@10 {recall[0]} and {recall[1]})" in words
    assert f"padding ({short(found['padded']['recall_at_10'])})" in words


def test_what_can_be_chosen() -> None:
    """The lists of encoders and datasets are complete."""
    from cmr_hub.datasets import DATASETS
    from cmr_hub.encoders.images import IMAGE_ENCODERS
    from cmr_hub.encoders.texts import TEXT_ENCODERS

    named = set(re.findall(r"`([\w-]+)`", text_of("docs/train-your-own.md")))
    assert {*DATASETS, *IMAGE_ENCODERS, *TEXT_ENCODERS} <= named
    assert (HOME / "grids" / "study.toml").is_file()


def test_how_much_the_tests_run() -> None:
    """The line coverage is current."""
    found = json.loads(text_of("results/coverage.json"))["all"]
    said = f"{found['share']:.1%} of the {found['lines']:,} lines are covered".replace("%", " %")
    assert said in " ".join(text_of("docs/tests.md").split())


def test_how_well_the_tests_test() -> None:
    """The mutation score is current."""
    found = json.loads(text_of("results/mutation.json"))
    left = found["survivors"]
    assert all(fault["why"] for fault in left)
    words = " ".join(text_of("docs/tests.md").split())
    said = (
        f"Of {found['mutants']:,} faults, {found['killed']:,} are detected and {len(left)} survive"
    )
    assert said in words


def test_what_stands_out() -> None:
    found = json.loads((HOME / "results" / "clear.json").read_text(encoding="utf-8"))
    lines = text_of("docs/search-page.md").splitlines()
    assert f"`--clear {found['recommended']}` is a good threshold" in " ".join(lines)
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
    """The default scale of zero-shot probabilities has the lowest calibration error."""
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
    assert f"ranges from {min(own)} to {max(own)}" in words
    assert f"For `sketch` it is {best(found['seen'])}, but" in words
