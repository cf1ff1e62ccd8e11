from __future__ import annotations

import csv
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from cmr_hub.errors import CMRError, DataNotFoundError
from cmr_hub.experiments.artifacts import TestEmbeddings, keep_embeddings, write_curve
from cmr_hub.experiments.plan import Plan, PlannedRow, PlannedTable
from cmr_hub.experiments.report import number, signed, verdict, write_report
from cmr_hub.experiments.results import append_run
from cmr_hub.experiments.tables import Significance, holm, significance

GOOD = {0: 0.61, 1: 0.64, 2: 0.66, 3: 0.60, 4: 0.65}
BAD = {0: 0.50, 1: 0.51, 2: 0.56, 3: 0.47, 4: 0.53}


def row(
    label: str, dataset: str = "pascal-sentence", published: tuple[str, ...] = ()
) -> PlannedRow:
    return PlannedRow(
        label=label,
        dataset="pascal-sentence",
        protocol="800/200",
        image_encoder="mobilenet_v2",
        text_encoder="bow",
        method="acmr-paper",
        published=published,
        cells={seed: cell(label, seed) for seed in GOOD},
    )


def cell(label: str, seed: int) -> str:
    return f"{label:>016}{seed}".replace(" ", "_")[::-1]


def record(label: str, seed: int, figure: float) -> dict[str, Any]:
    per_class = {"0": figure, "1": figure / 2}
    return {
        "cell": cell(label, seed),
        "dataset": "pascal-sentence",
        "protocol": "800/200",
        "image_encoder": "mobilenet_v2",
        "image_weights": "abc",
        "text_encoder": "bow",
        "preset": "acmr-paper",
        "objective": "label",
        "seed": seed,
        "epochs": 3,
        "map_i2t": figure + 0.02,
        "map_t2i": figure - 0.02,
        "map_avg": figure,
        "map50_avg": figure / 2,
        "map50_denominator": "relevant",
        "image_accuracy": 0.7,
        "text_accuracy": None,
        "relevance": "class",
        "per_class_map_i2t": per_class,
        "per_class_map_t2i": per_class,
        "pr_recall": [0.0, 0.5, 1.0],
        "pr_curve_i2t": [1.0, 0.6, 0.2],
        "pr_curve_t2i": [0.9, 0.5, 0.1],
        "classes": ["cat", "dog"],
        "seconds": 36.0,
        "versions": {"cmr_hub": "9.9", "cpus": 2},
    }


def study(results: Path, bow: dict[int, float], glove: dict[int, float]) -> None:
    rows = (
        row("BoW", published=("study-2019-bow",)),
        row("GloVe", published=("study-2019-glove",)),
        row("later"),
    )
    table = PlannedTable(
        id="text-features",
        title="Text features",
        reference="BoW",
        published=("jfse",),
        rows=rows,
        disagreement="Their texts are longer.",
    )
    Plan(name="study", title="The study", tables=(table,)).save(results)
    for label, figures in (("BoW", bow), ("GloVe", glove)):
        for seed, figure in figures.items():
            append_run(record(label, seed, figure), results / "runs.jsonl")
            write_curve(
                [{"phase": "select", "epoch": 1, "loss": 2.0, "validation_map": figure}],
                results,
                cell(label, seed),
            )


def contents(results: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in results.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("results")
    study(results, BAD, GOOD)
    assert write_report(results) == results / "report.md"
    return results


def table_lines(report: str) -> dict[str, list[str]]:
    lines = [line for line in report.splitlines() if line.startswith("| ")]
    cells = [[part.strip() for part in line.strip("|").split(" | ")] for line in lines]
    return {line[0]: line for line in cells}


def test_the_report_has_the_figures_of_the_csv(written: Path) -> None:
    lines = table_lines((written / "report.md").read_text())
    with (written / "text-features.csv").open(newline="") as file:
        rows = {line["row"]: line for line in csv.DictReader(file)}
    for label in ("BoW", "GloVe"):
        shown = re.findall(r"\.\d{3} ± \.\d{3}", " ".join(lines[label]))
        expected = [
            f"{number(float(rows[label][f'{figure}_mean']))} ± "
            f"{number(float(rows[label][f'{figure}_std']))}"
            for figure in ("map_i2t", "map_t2i", "map_avg", "map50_avg")
        ]
        assert shown == expected
        assert lines[label][5] == rows[label]["n_seeds"] == "5"
    assert "not run yet" in lines["later"]


def test_published_figures_stand_apart_with_their_protocol(written: Path) -> None:
    report = (written / "report.md").read_text()
    lines = table_lines(report)
    assert lines[""][-1] == "published elsewhere (i→t / t→i / average)"
    assert lines["BoW"][-1] == "wikipedia .460 [1]"
    assert lines["GloVe"][-1] == "wikipedia .495 [2]"
    assert lines["_JFSE, not run here_"][-1] == "pascal-sentence .632 / .610 / .621 [3]"
    assert re.search(
        r"^\[1\] 2019 study, bag of words, wikipedia\..*depth not stated", report, re.M
    )
    for line in lines.values():
        assert not any(re.search(r"\.460|\.495|\.621", part) for part in line[:-1])


def test_findings_follow_from_the_runs(written: Path, tmp_path: Path) -> None:
    report = (written / "report.md").read_text()
    assert (
        "Best here: **GloVe**, .632 ± .026 (n = 5), significantly better than every other row."
        in report
    )
    assert "Order found: GloVe (.632) > BoW (.514)." in report
    assert re.search(r"Ours: GloVe \(\.632\) > BoW \(\.514\): the same order\.", report)
    assert "Their texts are longer." not in report
    better = verdict(holm([significance(GOOD, BAD)])[0])
    assert better.endswith(": better")
    assert f"- GloVe: {better}" in report
    assert "- later: no seed in common yet" in report

    study(tmp_path, GOOD, BAD)
    write_report(tmp_path)
    report = (tmp_path / "report.md").read_text()
    assert "Best here: **BoW**" in report
    assert (
        "not the same order. 1 pair is turned round, by at most .118, 1 of them significantly. "
        "Their texts are longer.\n"
    ) in report
    assert re.search(r"- GloVe: −.*: worse", report)


def test_one_row_beside_two_systems_of_a_source_has_no_order(tmp_path: Path) -> None:
    """Nor have rows whose published figures are the same."""
    rows = (
        row("BoW", published=("cca-classic", "jfssl-classic")),
        row("GloVe", published=("cca-classic",)),
    )
    table = PlannedTable(id="t", title="T", reference="BoW", published=(), rows=rows)
    Plan(name="study", title="The study", tables=(table,)).save(tmp_path)
    for label, figures in (("BoW", BAD), ("GloVe", GOOD)):
        for seed, figure in figures.items():
            append_run(record(label, seed, figure), tmp_path / "runs.jsonl")
    assert "Published order" not in write_report(tmp_path).read_text()


def test_recall_and_content_have_tables_of_their_own(tmp_path: Path) -> None:
    moved = row("moved").model_copy(update={"tested_on": "flickr8k validation"})
    tables = (
        PlannedTable(
            id="recall", title="R", reference="moved", published=(), rows=(moved,), measure="recall"
        ),
        PlannedTable(
            id="content",
            title="C",
            reference="pixels",
            published=(),
            rows=(row("pixels"),),
            measure="content",
        ),
    )
    Plan(name="others", title="Others", tables=tables).save(tmp_path)
    for seed, figure in GOOD.items():
        recall = {"1": figure / 4, "5": figure / 2, "10": figure}
        measured = {"recall_i2t": recall, "recall_t2i": recall, "recall_avg": figure / 2}
        append_run(record("moved", seed, figure) | measured, tmp_path / "runs.jsonl")
        pixels = record("pixels", seed, figure)
        for name in [name for name in pixels if re.match("map|pr_|per_class|relevance", name)]:
            pixels.pop(name)
        empty = dict.fromkeys(("map_i2t", "map_t2i", "map_avg", "map50_avg"))
        append_run(pixels | empty | {"map_i2i": figure}, tmp_path / "runs.jsonl")
    report = write_report(tmp_path).read_text()
    header, moved_line, _, pixels_line = (
        [part.strip() for part in line.strip("|").split(" | ")]
        for line in report.splitlines()
        if re.match(r"\|  \||\| (moved|pixels)", line)
    )
    assert header[6:] == [
        *(f"{way} R@{k}" for way in ("image→text", "text→image") for k in (1, 5, 10)),
        "**average**",
    ]
    assert moved_line[1] == "pascal-sentence → flickr8k validation"
    quarter, half, whole = (spread(scale) for scale in (0.25, 0.5, 1))
    assert moved_line[6:] == [quarter, half, whole] * 2 + [f"**{half}**"]
    assert pixels_line[6:] == [f"**{whole}**"]
    with (tmp_path / "recall.csv").open(newline="") as file:
        (line,) = csv.DictReader(file)
    assert float(line["recall_t2i@5_mean"]) == pytest.approx(statistics.mean(GOOD.values()) / 2)
    assert "content-pr.png" not in report


def spread(scale: float) -> str:
    values = [scale * value for value in GOOD.values()]
    return f"{number(statistics.mean(values))} ± {number(statistics.stdev(values))}"


def test_the_circumstances_are_told(written: Path) -> None:
    report = (written / "report.md").read_text()
    assert "10 of 15 runs are done; 0.10 hours" in report
    assert "10 runs with cmr_hub 9.9, cpus 2" in report
    assert "Weights of mobilenet_v2: SHA-256 abc" in report
    assert "divided by: relevant" in report


def test_the_pictures_are_there(written: Path) -> None:
    report = (written / "report.md").read_text()
    names = re.findall(r"!\[[^]]+\]\(([^)]+)\)", report)
    assert sorted(names) == [
        f"figures/text-features-{n}.png" for n in ("per-class", "pr", "training")
    ]
    for name in names:
        assert (written / name).read_bytes().startswith(b"\x89PNG")


def test_the_same_store_gives_the_same_bytes(written: Path) -> None:
    before = contents(written)
    write_report(written)
    assert contents(written) == before


def test_a_damaged_line_is_counted(tmp_path: Path) -> None:
    study(tmp_path, BAD, GOOD)
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"dataset": "pasc\n')
    write_report(tmp_path)
    assert "1 damaged lines of `runs.jsonl`" in (tmp_path / "report.md").read_text()


def test_without_a_grid_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="run `cmr ablate` first"):
        write_report(tmp_path)


def test_two_tables_of_one_id_are_refused(tmp_path: Path) -> None:
    study(tmp_path, BAD, GOOD)
    table = PlannedTable(
        id="text-features", title="T", reference="x", published=(), rows=(row("x"),)
    )
    Plan(name="other", title="O", tables=(table,)).save(tmp_path)
    with pytest.raises(CMRError, match="two grids have a table text-features"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("value", "text"), [(0.6234, ".623"), (0.9996, "1.000"), (0.0, ".000"), (12.3456, "12.346")]
)
def test_numbers_are_as_in_tables_of_map(value: float, text: str) -> None:
    assert number(value) == text
    assert signed(value) == f"+{text}"
    if value:
        assert signed(-value) == f"−{text}"


@pytest.mark.parametrize(
    ("compared", "words"),
    [
        (None, "no seed in common yet"),
        (Significance(1, 0.1, None, None, None), "+.100 (n = 1): no test possible"),
        (Significance(3, 0.0, 0.0, 0.0, None), "+.000 [+.000, +.000] (n = 3): the same figures"),
        (
            Significance(5, 0.1, -0.1, 0.3, 0.2),
            "+.100 [−.100, +.300], p = .200 (n = 5): no significant difference",
        ),
        (Significance(5, 0.1, 0.05, 0.15, 1e-5), "+.100 [+.050, +.150], p < .001 (n = 5): better"),
        (Significance(5, -0.1, -0.2, -0.01, 0.04), "−.100 [−.200, −.010], p = .040 (n = 5): worse"),
    ],
)
def test_a_verdict_in_words(compared: Significance | None, words: str) -> None:
    assert verdict(compared) == words


@pytest.mark.parametrize("below", [False, True])
def test_an_adapted_row_stands_beside_zero_shot(tmp_path: Path, below: bool) -> None:
    after, before = (BAD, GOOD) if below else (GOOD, BAD)
    rows = (row("adapted"), row("other"))
    table = PlannedTable(id="t", title="T", reference="other", published=(), rows=rows)
    Plan(name="g", title="G", tables=(table,)).save(tmp_path)
    for seed, figure in after.items():
        untouched = record("adapted", seed, before[seed])
        run = record("adapted", seed, figure) | {"zero_shot": untouched}
        append_run(run, tmp_path / "runs.jsonl")
    text = write_report(tmp_path).read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("| adapted, zero-shot ")]
    mean, std = statistics.mean(before.values()), statistics.stdev(before.values())
    assert f"**{number(mean)} ± {number(std)}**" in line
    (found,) = [line for line in text.splitlines() if "against its own zero-shot" in line]
    assert found.startswith(
        f"- adapted against its own zero-shot: {verdict(significance(after, before))}"
    )
    assert ("training ended below zero-shot" in found) == below
    assert "1 of 10 runs" not in text
    assert "5 of 10 runs are done" in text


def test_how_far_figures_vary_over_queries(tmp_path: Path) -> None:
    """From stored embeddings; differences are paired by item."""
    study(tmp_path, BAD, GOOD)
    labels = np.arange(40) % 4
    ap = {}
    for label, noise in (("BoW", 1.0), ("GloVe", 0.6)):
        random = np.random.default_rng(5)
        rows = np.eye(4)[labels] + noise * random.normal(size=(2, 40, 4))
        images, texts = (rows / np.linalg.norm(rows, axis=2, keepdims=True)).astype(np.float32)
        embeddings = TestEmbeddings(
            images=images,
            texts=texts,
            labels=labels,
            ids=tuple(map(str, range(40))),
            classes=("a", "b", "c", "d"),
            dataset="pascal-sentence",
            protocol="800/200",
            image_encoder="mobilenet_v2",
            text_encoder="bow",
            settings={"name": label},
            cell=cell(label, 0),
            seed=0,
            validation_map=None,
        )
        keep_embeddings(embeddings, tmp_path, ())
        scores = images @ texts.T
        ap[label] = [
            (
                average_precision_score(labels == own, to)
                + average_precision_score(labels == own, of)
            )
            / 2
            for own, to, of in zip(labels, scores, scores.T, strict=True)
        ]
    text = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Over the 40 test pairs: 95 % bootstrap interval" in text
    assert f"\n- BoW: {number(np.mean(ap['BoW']))} [" in text
    (line,) = re.findall(r"^- GloVe: \S+ \[.*?\]; \S+ \[.*\]$", text, re.M)
    found = [float(one.replace("−", "-")) for one in re.findall(r"[+−]?\.\d+", line)]
    difference = np.subtract(ap["GloVe"], ap["BoW"])
    assert found[0] == pytest.approx(np.mean(ap["GloVe"]), abs=0.002)
    assert found[3] == pytest.approx(difference.mean(), abs=0.002)
    half = 1.96 * difference.std() / 40**0.5
    assert found[4:] == pytest.approx([found[3] - half, found[3] + half], abs=0.2 * half)
