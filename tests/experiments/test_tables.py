from __future__ import annotations

import csv
import math
import statistics
from pathlib import Path
from typing import Any

import pytest
from run_records import run_record
from scipy import stats

from cmr_hub.experiments.plan import PlannedRow, PlannedTable
from cmr_hub.experiments.run_record import Figures, RunRecord
from cmr_hub.experiments.tables import (
    MEASURES,
    Significance,
    holm,
    significance,
    table_result,
    write_csv,
)

A = {0: 0.61, 1: 0.64, 2: 0.66, 3: 0.60, 4: 0.65}
B = {0: 0.60, 1: 0.61, 2: 0.66, 3: 0.57, 4: 0.63}


def row(label: str, **changes: Any) -> PlannedRow:
    return PlannedRow(
        **{
            "label": label,
            "dataset": "pascal-sentence",
            "protocol": "800/200",
            "image_encoder": "mobilenet_v2",
            "text_encoder": "bow",
            "method": "acmr-paper",
            "published": (),
            "cells": {seed: f"{label}{seed}" for seed in A},
            **changes,
        }
    )


def table(*rows: PlannedRow) -> PlannedTable:
    return PlannedTable(id="t", title="T", reference="b", published=(), rows=rows)


def record(cell: str, figure: float, **changes: Any) -> RunRecord:
    figures = {"map_i2t": figure + 0.01, "map_t2i": figure - 0.01, "map_avg": figure}
    figures |= {"map50_avg": figure / 2, "image_accuracy": 0.5}
    return run_record(cell=cell, **figures | changes)


RECORDS = [record(f"a{s}", v) for s, v in A.items()] + [record(f"b{s}", v) for s, v in B.items()]


def test_significance_is_students_paired_test() -> None:
    found = significance(A, B)
    assert found is not None
    differences = [A[seed] - B[seed] for seed in A]
    mean, deviation = statistics.mean(differences), statistics.stdev(differences)
    t = mean / (deviation / math.sqrt(5))
    assert found.n == 5
    assert found.difference == pytest.approx(mean)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 4))
    oracle = stats.ttest_rel(list(A.values()), list(B.values()))
    interval = oracle.confidence_interval(0.95)
    assert found.p == pytest.approx(oracle.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    # It is paired: taken as two groups, the same figures say much less.
    assert found.p < 0.05 < stats.ttest_ind(list(A.values()), list(B.values())).pvalue


def test_significance_over_random_splits_is_nadeau_and_bengios_test() -> None:
    found = significance(A, B, overlap=200 / 800)
    assert found is not None
    differences = [A[seed] - B[seed] for seed in A]
    mean = sum(differences) / 5
    variance = sum((one - mean) ** 2 for one in differences) / 4
    error = math.sqrt((1 / 5 + 200 / 800) * variance)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(mean) / error, 4))
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 4, mean, error))
    plain = significance(A, B)
    assert plain is not None
    assert found.p > plain.p


@pytest.mark.parametrize(
    "p",
    [
        [0.01, 0.04, 0.03],
        [0.02, 0.02, 0.9, 0.001],
        [0.5],
        [1e-9, 0.6, 0.9],
        [0.04, None, 0.011, 0.02],
    ],
)
def test_holm_rejects_step_by_step(p: list[float | None]) -> None:
    """A hypothesis is rejected at a level if its corrected p-value is at most this level."""
    found = holm([None, *(Significance(5, 0.1, 0.0, 0.2, one) for one in p)])
    assert found[0] is None
    tested = {place: one for place, one in enumerate(p) if one is not None}
    for level in (0.01, 0.02, 0.0399, 0.05, 0.1, 0.5, 0.95):
        rejected = set()
        for rank, place in enumerate(sorted(tested, key=tested.__getitem__)):
            if tested[place] > level / (len(tested) - rank):
                break
            rejected.add(place)
        assert rejected == {
            place for place, one in enumerate(found[1:]) if (one.p_holm or 9) <= level
        }


def test_a_row_is_best_only_if_it_beats_every_other_row() -> None:
    near = {seed: value - 0.001 * (-1) ** seed for seed, value in A.items()}
    far = {seed: value - 0.3 - 0.01 * seed for seed, value in A.items()}
    records = [
        record(f"{label}{seed}", value)
        for label, figures in (("a", A), ("b", near), ("c", far))
        for seed, value in figures.items()
    ]
    result = table_result(table(row("a"), row("b"), row("c")), records)
    assert [found.row.label for found in result.tied] == ["b"]
    assert table_result(table(row("a"), row("b"), row("c")), records[:5] + records[10:]).tied == []


def test_rows_of_random_splits_are_compared_with_the_correction() -> None:
    records = [
        record(f"{label}{seed}", value, seed=seed, protocol=f"random-{seed}", pairs=pairs)
        for label, figures in (("a", A), ("b", B))
        for seed, value in figures.items()
        for pairs in [{"train": 800, "validation": 120, "test": 200}]
    ]
    protocol = {"protocol": "random-{seed}"}
    (a, _) = table_result(table(row("a", **protocol), row("b", **protocol)), records).rows
    assert a.against_reference == holm([significance(A, B, 0.25)])[0]


def test_significance_pairs_by_seed_not_by_order() -> None:
    shuffled = {seed: B[seed] for seed in (4, 2, 0, 1, 3)}
    assert significance(A, shuffled) == significance(A, B)
    part = significance(A, {0: B[0], 3: B[3], 9: 0.0})
    assert part is not None
    assert (part.n, part.difference) == (2, pytest.approx(0.02))


def test_significance_where_there_is_nothing_to_test() -> None:
    assert significance(A, {7: 0.5}) is None
    single = significance({0: 0.7}, {0: 0.5})
    assert single is not None
    assert (single.p, single.low, single.high) == (None, None, None)
    same = significance(A, A)
    assert same is not None
    assert (same.difference, same.p) == (0, None)
    constant = significance({s: v + 0.1 for s, v in A.items()}, A)
    assert constant is not None
    assert constant.p is None
    assert constant.low == pytest.approx(0.1)


def test_a_row_collects_its_cells() -> None:
    stray = [
        record("other", 0.9),
        run_record(map_avg=0.1),
        record("a0", 0.0),
    ]  # a0 again: the first counts
    result = table_result(table(row("a"), row("b"), row("empty")), RECORDS + stray)
    a, b, empty = result.rows
    assert (a.n, b.n, empty.n) == (5, 5, 0)
    assert a.mean("map_avg") == pytest.approx(statistics.mean(A.values()))
    assert a.std("map_avg") == pytest.approx(statistics.stdev(A.values()))
    assert a.mean("text_accuracy") is None
    assert empty.mean("map_avg") is None
    assert a.against_reference == holm([significance(A, B)])[0]
    assert b.against_reference is None
    assert empty.against_reference is None
    assert [found.row.label for found in result.ranked] == ["a", "b"]


def test_figures_that_are_within_others() -> None:
    found = run_record(map_i2t=0.25, recall_i2t={"1": 0.1, "5": 0.5})
    assert found.figure("map_i2t") == 0.25
    assert found.figure("recall_i2t@5") == 0.5
    for figure in ("map_t2i", "map_avg", "recall_i2t@10", "recall_t2i@1"):
        assert found.figure(figure) is None
    for measure in MEASURES.values():
        assert measure.compared in measure.figures


def test_rows_are_compared_by_the_figure_of_the_table() -> None:
    recalls = [
        record(f"{label}{seed}", 1 - value, recall_avg=value)
        for label, figures in (("a", A), ("b", B))
        for seed, value in figures.items()
    ]
    by_recall = table(row("a"), row("b")).model_copy(update={"measure": "recall"})
    result = table_result(by_recall, recalls)
    assert result.rows[0].against_reference == holm([significance(A, B)])[0]
    assert [found.row.label for found in result.ranked] == ["a", "b"]
    by_map = table_result(table(row("a"), row("b")), recalls)
    assert [found.row.label for found in by_map.ranked] == ["b", "a"]


def test_the_csv_has_a_line_per_row(tmp_path: Path) -> None:
    result = table_result(table(row("a, |x|"), row("b"), row("empty")), RECORDS)
    write_csv(result, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["row"] for line in lines] == ["a, |x|", "b", "empty"]
    assert lines[0]["n_seeds"] == lines[2]["n_seeds"] == "0"
    b = lines[1]
    assert (b["method"], b["text_features"], b["n_seeds"]) == ("acmr-paper", "bow", "5")
    assert float(b["map_avg_mean"]) == pytest.approx(statistics.mean(B.values()), rel=1e-5)
    assert float(b["map_i2t_std"]) == pytest.approx(statistics.stdev(B.values()), rel=1e-5)
    assert float(b["map50_avg_mean"]) == pytest.approx(statistics.mean(B.values()) / 2, rel=1e-5)
    assert b["text_accuracy_mean"] == b["difference"] == b["p"] == ""
    write_csv(table_result(table(row("a"), row("b")), RECORDS), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        a = next(iter(csv.DictReader(file)))
    found = significance(A, B)
    assert found is not None
    for column, value in (
        ("difference", found.difference),
        ("ci_low", found.low),
        ("ci_high", found.high),
        ("p", found.p),
    ):
        assert float(a[column]) == pytest.approx(value, rel=1e-5)


def with_zero_shot(cell: str, figure: float, before: float) -> RunRecord:
    fields = record("", before).to_dict()
    zero_shot = {name: value for name, value in fields.items() if name in Figures.model_fields}
    return record(cell, figure, zero_shot=zero_shot)


def test_a_row_that_was_adapted_has_zero_shot_below_it(tmp_path: Path) -> None:
    records = [with_zero_shot(f"a{seed}", value, B[seed]) for seed, value in A.items()]
    records += [record(f"b{seed}", value) for seed, value in B.items()]
    result = table_result(table(row("a", published=("x",)), row("b")), records)
    assert [shown.row.label for shown in result.shown] == ["a", "a, zero-shot", "b"]
    assert [found.row.label for found in result.rows] == ["a", "b"]
    before = result.rows[0].zero_shot
    assert before is not None
    assert before.row.published == ()
    assert before.n == 5
    for figure in ("map_avg", "map_i2t", "map50_avg"):
        assert before.mean(figure) == result.rows[1].mean(figure)
        assert before.std(figure) == result.rows[1].std(figure)
    assert result.rows[1].zero_shot is None

    write_csv(result, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8") as file:
        lines = {line["row"]: line for line in csv.DictReader(file)}
    assert list(lines) == ["a", "a, zero-shot", "b"]
    assert float(lines["a, zero-shot"]["map_avg_mean"]) == pytest.approx(
        statistics.mean(B.values())
    )
    assert lines["a, zero-shot"]["method"] == "zero-shot"


def test_zero_shot_of_some_seeds_is_no_row() -> None:
    records = [with_zero_shot("a0", 0.5, 0.4), record("a1", 0.5)]
    assert table_result(table(row("a"), row("b")), records).rows[0].zero_shot is None
    assert table_result(table(row("a"), row("b")), []).rows[0].zero_shot is None
