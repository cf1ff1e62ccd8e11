"""Every figure of docs/study.md is computed again from the stored runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from documents import HOME, text_of
from shown import figures, rows, short

from cmr_hub.experiments import report
from cmr_hub.experiments.report import write_report
from cmr_hub.experiments.results import read_runs
from cmr_hub.experiments.run_record import RunRecord

TEXT = text_of("docs/study.md")
LINES = [line.strip() for line in TEXT.splitlines()]
STUDY = " ".join(TEXT.split())
RESULTS = HOME / "results"
RUNS, PROBLEMS = read_runs(RESULTS / "runs.jsonl", superseded=True)
PUBLISHED = tomllib.loads(text_of("cmr_hub/experiments/published.toml"))
TABLES = ("methods-pascal", "methods-pascal-random", "methods-pascal-validation")
PASCAL, RANDOM, VALIDATION, WIKIPEDIA = (rows(t) for t in (*TABLES, "methods-wikipedia"))
NAMES = {
    name: name
    for name in ("class posteriors", "FUME", "SDML", "DSCMR", "CCA", "MRL", "Proxy-Anchor")
} | {"`cmr-best`": "cmr-best", "ACMR": "ACMR, as the paper has it"}
NESTED, BACKBONES = rows("methods-pascal-nested"), rows("methods-pascal-nested-backbones")
SHOWN = ("`cmr-best`", "class posteriors", "FUME", "SDML", "DSCMR", "ACMR", "CCA")
BOTH, SUM = "posterior-cca", "class posteriors + CCA"
BY_PAIRS = ("CCA", "PLS", "KCCA", "InfoNCE", "DCCA")
OF_2019 = {
    "TF-IDF": "bow",
    "word2vec, trained here": "word2vec",
    "GloVe 6B, 50-d": "glove",
    **{name: name for name in ("adversarial", "correlation", "label")},
    "MMD": "mmd",
    "CORAL": "coral",
    "label + triplet": "label-triplet",
}


def at_1(row: str, table: dict[str, dict[str, str]] = PASCAL, way: str = "t2i") -> float:
    return float(table[row][f"recall_{way}@1_mean"])


def mean(row: str, table: dict[str, dict[str, str]] = PASCAL) -> float:
    return float(table[row]["map_avg_mean"])


def superseded(why: str, protocol: str = "800/200") -> list[RunRecord]:
    return [run for run in RUNS if why in (run.superseded or "") and run.protocol == protocol]


def spread(runs: list[RunRecord]) -> str:
    values = [float(run.map_avg or 0) for run in runs]
    return f"{short(statistics.mean(values))} ± {short(statistics.stdev(values))}"


def range_of(table: dict[str, dict[str, str]]) -> str:
    found = [float(table[NAMES[name]]["map_avg_std"]) for name in SHOWN]
    return f"{short(min(found))} to {short(max(found))}"


def counted() -> tuple[int, ...]:
    """Count the runs of the second look, of its tables, all, nested and superseded runs."""
    old = [run for run in RUNS if run.superseded is not None]
    first = [run for run in old if run.superseded.startswith("first look")]
    later = [run for run in RUNS if run.superseded is None and "map_interval_i2t" in run.to_dict()]
    nested = [run for run in RUNS if run.nested is not None]
    second = len(RUNS) - len(old) - len(nested)
    return len(RUNS) - len(first) - len(later), second, len(RUNS), second, len(nested), len(old)


def first(table: dict[str, dict[str, str]], name: str) -> str:
    assert max(table, key=lambda row: mean(row, table)) == name
    return f"{short(mean(name, table))} ± {short(float(table[name]['map_avg_std']))}"


def gap() -> tuple[str, str]:
    old = statistics.mean(float(run.map_avg or 0) for run in superseded("class-sorted"))
    paper, code = (mean(f"ACMR, as the {which} has it") for which in ("paper", "code"))
    return short(paper - old), short(code - old)


def widest(pairs: int) -> str:
    """Return the largest half-width of a bootstrap interval over test pairs."""
    text = text_of("results/report.md").split(f"Over the {pairs} test pairs")[1].split("\n\n")[1]
    ends = re.findall(r": \S+ \[(\S+), (\S+)\]", text)
    return short(max(float(high) - float(low) for low, high in ends) / 2)


def nested() -> dict[tuple[str, int], RunRecord]:
    """Nested runs of one image encoder by preset and seed."""
    runs = [run for run in RUNS if run.nested is not None and "+" not in run.image_encoder]
    return {(run.preset, run.seed): run for run in runs}


def cost() -> tuple[int, int]:
    """Number of nested runs, and their minutes."""
    runs = [run for run in RUNS if run.nested is not None]
    return len(runs), round(sum(run.seconds for run in runs) / 60)


def good_at_both() -> tuple[object, ...]:
    """Count the splits on which the direct sum reaches both parts; return them with the means."""
    found = nested()
    sums = [run for (preset, _), run in found.items() if preset == BOTH]
    recalls = ("recall_i2t@1", "recall_t2i@1")
    reached = [
        run
        for run in sums
        if run.figure("map_avg") >= found["posterior", run.seed].figure("map_avg")
        and all(run.figure(name) >= found["cca", run.seed].figure(name) for name in recalls)
    ]
    return len(reached), len(sums), *means(NESTED)


def means(table: dict[str, dict[str, str]]) -> list[str]:
    """MAP of the direct sum and of class posteriors; R@1 of the direct sum and of CCA."""
    found = [mean(row, table) for row in (SUM, "class posteriors")]
    found += [at_1(row, table, way) for row in (SUM, "CCA") for way in ("i2t", "t2i")]
    return list(map(short, found))


CLAIMS: dict[str, Callable[[], tuple[object, ...]]] = {
    "over random splits, the standard deviations of the methods below are {}, and over seeds on "
    "the sorted split {}.": (lambda: (range_of(NESTED), range_of(PASCAL))),
    "The first evaluation, on 2026-11-23, had {} runs of the table of methods.": lambda: (
        sum((run.superseded or "").startswith("first look") for run in RUNS),
    ),
    "MRL went from {} to {} and Proxy-Anchor from {} to {} (800/200)": (
        lambda: tuple(
            short(mean(name, table))
            for name in ("MRL", "Proxy-Anchor")
            for table in (rows("first-look-pascal"), PASCAL)
        )
    ),
    "Ten runs of DCCA (800/200 {}) were replaced by the objective `dcca-ey`": lambda: (
        spread(superseded("dcca-ey")),
    ),
    "Of the {} runs stored after the second look, {} were in its tables. The store now has {} "
    "runs: {} of these tables, {} of nested selection, and {} superseded ones.": counted,
    "The {} runs took {} minutes in all": cost,
    "on {} of the {} splits. On average, its MAP is {}, that of class posteriors {}; its R@1 is "
    "{} / {}, that of CCA {} / {}.": good_at_both,
    "but not both of what they have with two: its MAP is {}, that of class posteriors {}; its R@1 "
    "is {} / {}, that of CCA {} / {}.": lambda: tuple(means(BACKBONES)),
    "few to choose it on ({}, {}, {}, {}, {})": lambda: tuple(
        short(run.settings["share"]) for (preset, _), run in nested().items() if preset == BOTH
    ),
    "With nested selection, it has the highest MAP ({})": lambda: (first(NESTED, "cmr-best"),),
    "The table of methods has {} rows on the same 200 pictures": lambda: (len(PASCAL),),
    "(text→image R@1 on 800/200: {}, {}, {}, {}, {}), with a class MAP of at most {}.": (
        lambda: (
            *(short(at_1(name)) for name in BY_PAIRS),
            short(max(mean(name) for name in BY_PAIRS)),
        )
    ),
    "CMPM has R@1 {}, FUME {}, ACMR {}, and `cmr-best` and class posteriors {}, which": lambda: (
        short(at_1("CMPM")),
        short(at_1("FUME")),
        short(at_1("ACMR, as the paper has it")),
        short(max(at_1("cmr-best"), at_1("class posteriors"))),
    ),
    "no method finds the partner (R@1 at most {})": lambda: (
        short(max(at_1(row, WIKIPEDIA, way) for row in WIKIPEDIA for way in ("i2t", "t2i"))),
    ),
    "but not the difference to class posteriors (p = {})": lambda: (
        short(float(RANDOM["class posteriors"]["p_holm"])),
    ),
    "The difference to SDML is not significant (p = {}). The differences to all other rows": (
        lambda: (short(float(WIKIPEDIA["SDML"]["p_holm"])),)
    ),
    "although the one to CMPM only just (Holm {}), and not over test pairs.": lambda: (
        f"{float(WIKIPEDIA['CMPM']['p_holm']):.4f}".removeprefix("0"),
    ),
    "On 800/200, class posteriors come first ({})": lambda: (first(PASCAL, "class posteriors"),),
    "On 800/100/100, FUME comes first ({}), without a significant difference to SDML.": lambda: (
        first(VALIDATION, "FUME"),
    ),
    "these figures could change by up to {} on 800/200 and {} on Wikipedia": lambda: (
        widest(200),
        widest(693),
    ),
    "raises MAP from {} to {} (one layer of the sentence encoder) or {} (two blocks": lambda: tuple(
        figures("fine-tuning").values()
    ),
    "the losses of `acmr-paper` reach {} and those of the code {}.": lambda: tuple(
        figures("methods-pascal")[f"ACMR, as the {which} has it"] for which in ("paper", "code")
    ),
    "the losses of the code reached only {}. ": lambda: (spread(superseded("class-sorted")),),
    "Of this gap of {}, the order accounts for {}.": gap,
}
"""Sentences with placeholders, and the functions that compute their figures."""


@pytest.mark.parametrize("sentence", CLAIMS)
def test_a_sentence_has_the_figures_of_the_store(sentence: str) -> None:
    said = sentence.format(*CLAIMS[sentence]())
    assert said in STUDY


def test_every_figure_of_a_sentence_is_computed() -> None:
    said = " ".join(sentence.format(*figure()) for sentence, figure in CLAIMS.items())
    text = " ".join(line for line in LINES if not line.startswith("|"))
    assert set(re.findall(r"\.\d{3,}", text)) <= set(re.findall(r"\.\d{3,}", said))


@pytest.mark.parametrize("shown", SHOWN)
def test_methods(shown: str) -> None:
    cells = []
    for table in (PASCAL, NESTED, VALIDATION, WIKIPEDIA):
        row = table[NAMES[shown]]
        recalls = [
            " / ".join(short(float(row[f"recall_{way}@{k}_mean"])) for way in ("i2t", "t2i"))
            for k in (1, 10)
        ]
        std = short(float(row["map_avg_std"]))
        cells.append(f"{short(float(row['map_avg_mean']))} ± {std}; {'; '.join(recalls)}")
    assert f"| {shown} | {' | '.join(cells)} |" in LINES


def test_nested_selection() -> None:
    """The table has all rows that were run, and each run stores its scores."""
    assert {int(row["n_seeds"]) for row in NESTED.values()} == {5}
    for name, row in [*NESTED.items(), *BACKBONES.items()]:
        cells = [
            " / ".join(short(float(row[f"recall_{way}@{k}_mean"])) for way in ("i2t", "t2i"))
            for k in (1, 10)
        ]
        map_ = f"{short(float(row['map_avg_mean']))} ± {short(float(row['map_avg_std']))}"
        assert f"| {name} | {map_} | {' | '.join(cells)} |" in LINES
    for run in RUNS:
        if run.nested is not None:
            scores = [one["validation_map"] for one in run.nested["candidates"]]
            assert scores[run.nested["chosen"]] == max(scores)
            assert run.protocol in {f"random-{seed}" for seed in range(10, 15)}


@pytest.mark.parametrize("shown", ["`cmr-best`", "class posteriors", "FUME"])
def test_both_looks(shown: str) -> None:
    cells = [
        figures(f"{look}-{table}")[NAMES[shown]]
        for table in ("pascal", "pascal-random", "wikipedia")
        for look in ("first-look", "methods")
    ]
    assert f"| {shown} | {' | '.join(cells)} |" in LINES


def test_what_is_not_found_again() -> None:
    for table in ("text-features", "third-loss", "losses"):
        for name, ours in figures(table).items():
            if name == "label + triplet + adversarial":  # the row "adversarial"
                continue
            theirs = ""
            if key := OF_2019.get(name):
                average = PUBLISHED[f"study-2019-{key}"]["figures"]["wikipedia"]["average"]
                theirs = f"{short(average)} "
            assert f"| {name} | {ours} | {theirs}|" in LINES


@pytest.mark.parametrize(
    ("table", "name", "ahead", "tied"),
    [
        (RANDOM, "cmr-best", ("FUME", "SDML", "DSCMR", "ACMR", "CCA"), ("class posteriors",)),
        (WIKIPEDIA, "cmr-best", ("CMPM", "FUME", "DSCMR", "ACMR", "CCA"), ("SDML",)),
    ],
)
def test_who_is_ahead_after_holm(table, name, ahead, tied) -> None:
    assert max(table, key=lambda row: mean(row, table)) == name
    for rows_, significant in ((ahead, True), (tied, False)):
        for row in (table[NAMES.get(one, one)] for one in rows_):
            assert row["reference"] == name
            assert (float(row["p_holm"]) < 0.05) == significant
    if table is WIKIPEDIA:
        others = [row for one, row in table.items() if one not in (name, *tied)]
        assert all(float(row["p_holm"]) < 0.05 for row in others)


def test_no_row_is_the_best() -> None:
    text = text_of("results/report.md")
    for tied in (
        "SDML (.666), cmr-best (.665), FUME (.665), DSCMR (.661), Proxy-Anchor (.653).",
        "**cmr-best**, .704 ± .015 (n = 5) is not told apart from class posteriors (.690).",
        "**FUME**, .690 ± .002 (n = 5) is not told apart from SDML (.685).",
        "**cmr-best**, .305 ± .002 (n = 5) is not told apart from SDML (.304).",
    ):
        assert tied in text
    (tied,) = re.findall(r"\*\*cmr-best\*\*, \.685.* is not told apart from (.*)\.$", text, re.M)
    named = {name.rpartition(" (")[0] for name in re.split(r"(?<=\)), ", tied)}
    others = {"supervised contrastive", "InfoNCE", "predicted labels", "random"}
    assert NESTED.keys() - named - {"cmr-best"} == others
    (cmpm,) = re.findall(r"^- CMPM: \.301 .*\[(.*), (.*)\]$", text, re.M)
    assert [end[0] for end in cmpm] == ["−", "+"]


def test_who_finds_pictures_and_who_does_not() -> None:
    others = PASCAL.keys() - {*BY_PAIRS, "paired neighbours"}
    assert min(at_1(row) for row in BY_PAIRS) > max(at_1(row) for row in others) == at_1("CMPM")
    worst = sorted(PASCAL, key=at_1)[:4]
    assert set(worst) == {"random", "predicted labels", "cmr-best", "class posteriors"}
    wikipedia = rows("first-look-wikipedia")
    assert mean("cmr-best", wikipedia) > mean("cmr-best", WIKIPEDIA)


@pytest.mark.skipif("CMR_DATA_HOME" not in os.environ, reason="needs real data: set CMR_DATA_HOME")
def test_how_many_pictures_random_splits_share_with_the_tuning() -> None:
    from cmr_hub.datasets import load_dataset

    def ids(protocol: str, split: str) -> set[str]:
        data = load_dataset("pascal-sentence", protocol=protocol, check_images=False)
        return set(data.split(split).ids)

    tuned = ids("800/200", "train")
    shared = [len(tuned & ids(f"random-{seed}", "test")) for seed in range(5)]
    assert f"{min(shared)} to {max(shared)} of the 200 test pictures" in STUDY


def test_the_report_is_that_of_the_store(tmp_path, monkeypatch) -> None:
    """`cmr report` reproduces the committed files byte for byte."""
    shutil.copy(RESULTS / "runs.jsonl", tmp_path)
    for name in ("grids", "embeddings"):
        shutil.copytree(RESULTS / name, tmp_path / name)
    section = r"^All figures: \[(\S+)\.csv\]|^!\[(.+)\]\((.+)\)$"
    drawn: dict[str, dict[str, Path]] = {}
    pictures: dict[str, Path] = {}
    for table, title, file in re.findall(section, text_of("results/report.md"), re.M):
        if table:
            drawn[table], pictures = pictures, {}
        else:
            pictures[title] = tmp_path / file
    # Skip the plots, which are slow and not compared.
    monkeypatch.setattr(report, "draw_figures", lambda result, *_: drawn[result.table.id])
    write_report(tmp_path)
    for path in (p for p in tmp_path.iterdir() if p.suffix in (".md", ".csv")):
        assert path.read_bytes() == (RESULTS / path.name).read_bytes(), path.name
    assert not PROBLEMS
    assert json.loads((RESULTS / "grids" / "methods-first-look.json").read_text())["superseded"]
