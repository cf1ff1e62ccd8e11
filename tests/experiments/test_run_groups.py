from __future__ import annotations

import statistics
from typing import Any

import pytest
from run_records import groups_of, run_record
from scipy.stats import ttest_rel

from cmr_hub.experiments.run_groups import (
    against,
    chosen,
    factor_grid,
    grouped_names,
    labels,
    ranked,
    telling_factors,
)
from cmr_hub.experiments.run_record import RunRecord


def record(seed: int, figure: float, **changed: Any) -> RunRecord:
    fields = {
        "dataset": "pets",
        "protocol": "800/200",
        "image_encoder": "compact",
        "text_encoder": "bow",
        "preset": "acmr-paper",
        "objective": "1 label + 1 triplet",
        "settings": {"objective": {"label": {}, "triplet": {}}, "learning_rate": 0.1},
        "seed": seed,
        "classes": ["cat", "dog"],
        "map_i2t": figure + 0.1,
        "map_t2i": figure - 0.1,
        "map_avg": figure,
        "map50_i2t": 0.4,
        "map50_t2i": 0.2,
        "map50_avg": 0.3,
        "recall_i2t": {"1": 0.1, "5": 0.5},
        "recall_t2i": {"1": 0.3, "5": 0.7},
        "recall_avg": 0.99,
        "precision_i2t": {"1": 0.2},
        "precision_t2i": {"1": 0.4},
        "per_class_map_i2t": {"0": figure, "1": 0.5},
        "per_class_map_t2i": {"0": figure, "1": 0.7},
        "pr_recall": [0.0, 1.0],
        "pr_curve_i2t": [1.0, figure],
        "pr_curve_t2i": [0.8, figure],
    }
    return run_record(**fields | changed)


@pytest.mark.parametrize(
    ("changed", "metric", "direction", "expected"),
    [
        ({}, "MAP@all", "average", 0.6),
        ({}, "MAP@all", "image→text", 0.7),
        ({}, "MAP@50", "text→image", 0.2),
        ({}, "R@5", "average", 0.6),  # not recall_avg, of all depths
        ({}, "R@1", "text→image", 0.3),
        ({}, "P@1", "average", 0.3),
        ({}, "R@10", "average", None),
        ({"recall_i2t": None}, "R@1", "average", None),
        ({"recall_i2t": {}}, "R@1", "average", None),
        ({"map_avg": None}, "MAP@all", "average", 0.6),  # the mean of both directions
        ({"map_avg": None, "map_i2t": None}, "MAP@all", "average", None),
        ({"map_avg": 2**62 + 1}, "MAP@all", "average", 2.0**62),
    ],
)
def test_a_metric_of_a_run(
    changed: dict[str, Any], metric: str, direction: str, expected: float | None
) -> None:
    (group,) = groups_of([record(0, 0.6, **changed)])
    assert group.mean(metric, direction) == (expected and pytest.approx(expected))


def test_runs_that_differ_only_in_the_seed_are_one_group() -> None:
    groups = groups_of(
        [
            record(0, 0.5),
            record(1, 0.7),
            record(1, 0.9),  # run again: the first counts
            record(0, 0.6, text_encoder="glove"),
            record(0, 0.6, settings={"objective": {"label": {}}, "learning_rate": 0.2}),
            record(0, 0.6, fine_tuned={"blocks": 1}),
        ]
    )
    assert [group.n for group in groups] == [2, 1, 1, 1]
    first = groups[0]
    assert first.values("MAP@all", "average") == {0: 0.5, 1: 0.7}
    assert first.mean("MAP@all", "average") == pytest.approx(0.6)
    assert first.std("MAP@all", "average") == pytest.approx(statistics.stdev([0.5, 0.7]))
    assert groups[1].std("MAP@all", "average") is None
    assert groups[3].factors["images"] == "compact, 1 block fine-tuned"
    assert len({group.key for group in groups}) == 4
    assert groups_of([record(1, 0.7), record(0, 0.5)])[0].key == first.key


def test_a_split_for_every_seed_and_a_setting_chosen_for_every_seed_part_no_runs() -> None:
    groups = groups_of(
        record(seed, 0.5, protocol=f"random-{seed}", objective="closed form", settings={"r": seed})
        for seed in (0, 1, 2)
    )
    assert [group.n for group in groups] == [3]
    assert groups[0].factors["protocol"] == "random-{seed}"
    assert groups[0].terms == ()


def test_choosing() -> None:
    groups = groups_of(
        [
            record(0, 0.5),
            record(0, 0.6, text_encoder="glove"),
            record(0, 0.7, preset="mmd", settings={"objective": {"label": {}, "mmd": {}}}),
        ]
    )
    assert chosen(groups, {"texts": ["glove"]}) == [groups[1]]
    assert chosen(groups, {"texts": ["bow"], "method": []}) == [groups[0], groups[2]]
    assert chosen(groups, {}, ["label", "mmd"]) == [groups[2]]
    assert chosen(groups, {"texts": ["none"]}) == []
    assert ranked(groups, "MAP@all", "average") == groups[::-1]
    assert ranked(groups, "R@10", "average") == []


def test_names_tell_groups_apart() -> None:
    groups = groups_of(
        [
            record(0, 0.5),
            record(0, 0.5, text_encoder="glove"),
            record(0, 0.5, text_encoder="glove", settings={"learning_rate": 0.2}),
            record(0, 0.5, preset="cca", objective="closed form"),
        ]
    )
    names = labels(groups, telling_factors(groups))
    assert names[0] == "acmr-paper · bow"
    assert names[3] == "cca · bow"
    assert names[1].startswith("acmr-paper · glove · learning_rate 0.1")
    assert len(set(names)) == 4
    assert labels(groups[:1], telling_factors(groups[:1])) == ["acmr-paper"]
    assert grouped_names(groups[:2], "texts") == ["all", "all"]
    several = groups_of([record(0, 0.5), record(0, 0.5, objective="1 label")])
    assert labels(several, telling_factors(several)) == ["1 label + 1 triplet", "1 label"]


def test_paired_differences_are_scipys() -> None:
    a, b = [0.5, 0.6, 0.7], [0.52, 0.66, 0.71]
    groups = groups_of(
        [record(seed, figure) for seed, figure in enumerate(a)]
        + [record(seed, figure, preset="b") for seed, figure in enumerate(b)]
        + [record(9, 0.3, preset="alone")]
    )
    none, compared, alone = against(groups, groups[0], "MAP@all", "average")
    assert none is None
    assert alone is None
    assert compared is not None
    assert compared.p == pytest.approx(ttest_rel(b, a).pvalue)
    assert compared.difference == pytest.approx(0.03)


def test_the_best_of_two_factors() -> None:
    groups = groups_of(
        [record(0, 0.5), record(0, 0.6, settings={"x": 1}), record(0, 0.9, text_encoder="glove")]
    )
    grid = factor_grid(groups, "method", "texts", "MAP@all", "average")
    assert (grid.rows, grid.columns) == (["acmr-paper"], ["bow", "glove"])
    assert grid.best == [[groups[1], groups[2]]]
    assert grid.counts == [[2, 1]]
    sparse = groups_of([record(0, 0.5), record(0, 0.5, preset="b", text_encoder="glove")])
    assert factor_grid(sparse, "method", "texts", "MAP@all", "average").best[0][1] is None


def test_curves_and_classes_are_means() -> None:
    group = groups_of([record(0, 0.4), record(1, 0.6)])[0]
    assert group.per_class("average") == {"cat": pytest.approx(0.5), "dog": pytest.approx(0.6)}
    assert group.per_class("image→text")["dog"] == pytest.approx(0.5)
    levels, precision = group.precision_recall("average") or ([], [])
    assert levels == [0.0, 1.0]
    assert precision == pytest.approx([0.9, 0.5])
    without = {"pr_recall": None, "per_class_map_i2t": {}, "per_class_map_t2i": {}}
    (bare,) = groups_of([record(0, 0.4, **without)])
    assert bare.precision_recall("average") is None
    assert bare.per_class("average") == {}
