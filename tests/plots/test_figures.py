from __future__ import annotations

from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
import pytest
from run_records import groups_of, run_record

from cmr_hub.experiments.curves import Curve
from cmr_hub.experiments.run_groups import factor_grid
from cmr_hub.experiments.space import Space, SpaceItem, answers
from cmr_hub.experiments.tables import significance
from cmr_hub.plots.results import (
    bars,
    confusion,
    differences,
    heat,
    per_class,
    precision_recall,
)
from cmr_hub.plots.space import COLOURINGS, images_only, map_limits, space_map
from cmr_hub.plots.style import as_html, file_name, plain, two_lines
from cmr_hub.plots.training import quantities, training

EVIL = "<img src=x onerror=alert(1)>"


def record(seed: int, figure: float, **changed):
    fields = {"dataset": "d", "protocol": "p", "image_encoder": "i", "preset": EVIL}
    fields |= {"objective": "o", "seed": seed, "map_avg": figure}
    return run_record(**fields | changed)


GROUPS = groups_of([record(0, 0.4), record(1, 0.6), record(0, 0.3, text_encoder="glove")])


def test_bars_have_the_means_deviations_and_every_seed() -> None:
    figure = bars(GROUPS, [EVIL, "b"], "MAP@all", "average")
    bar, dots = figure.data
    assert list(bar.x) == pytest.approx([0.5, 0.3])
    assert bar.error_x.array[0] == pytest.approx(np.std([0.4, 0.6], ddof=1))
    assert sorted(dots.x) == [0.3, 0.4, 0.6]
    assert list(dots.customdata) == [0, 0, 1]
    assert "<img" not in figure.to_json()


def test_bars_of_one_name_stand_together() -> None:
    figure = bars(GROUPS, ["same", "same"], "MAP@all", "average", ["bow", "glove"])
    assert [trace.name for trace in figure.data] == ["bow", "glove", "one seed"]
    assert list(figure.layout.yaxis.ticktext) == ["same"]
    assert figure.data[0].y[0] != figure.data[1].y[0]
    assert [list(trace.customdata) for trace in figure.data[:2]] == [[0], [1]]


def test_tiles() -> None:
    grid = factor_grid(GROUPS, "method", "texts", "MAP@all", "average")
    figure = heat(grid, "MAP@all", "average", "method", "texts")
    assert list(figure.data[0].z[0]) == pytest.approx([0.5, 0.3])
    assert "<img" not in figure.to_json()
    tiles = per_class({EVIL: {"cat": 0.25}, "b": {"cat": 0.5, "dog": 1.0}}).data[0]
    assert [list(line) for line in tiles.z] == [[0.25, 0.5], [None, 1.0]]
    assert tiles.text[0][0] == ".250"


def test_names_that_are_shortened_alike_have_tiles_of_their_own() -> None:
    long = "0.5 label + 1 triplet + 0.1 {}, and as many epochs again"
    names = [long.format("mmd"), long.format("coral")]
    figure = heat(
        factor_grid(
            groups_of([record(0, 0.1 * n, objective=name) for n, name in enumerate(names, 1)]),
            *("objective", "texts", "MAP@all", "average"),
        ),
        *("MAP@all", "average", "objective", "texts"),
    )
    (tiles,) = figure.data
    assert sorted(line[0] for line in tiles.z) == pytest.approx([0.1, 0.2])
    assert tiles.y is None
    assert list(figure.layout.yaxis.tickvals) == [0, 1]
    columns = per_class({name: {"cat": 0.5} for name in names})
    assert len(columns.layout.xaxis.ticktext) == len(columns.data[0].z[0]) == 2


def test_differences_and_their_intervals() -> None:
    reference = {0: 0.5, 1: 0.6, 2: 0.7}
    better = significance({0: 0.61, 1: 0.70, 2: 0.81}, reference)
    alike = significance({0: 0.4, 1: 0.8, 2: 0.6}, reference)
    alone = significance({0: 0.7}, reference)
    assert better
    assert alike
    assert alone
    figure = differences([alike, better, alone], ["b", EVIL, "c"], "MAP@all", "average")
    sure, unsure = figure.data
    assert (list(sure.x), list(sure.y)) == ([better.difference], [1])
    assert better.high is not None
    assert sure.x[0] + sure.error_x.array[0] == pytest.approx(better.high)
    assert list(unsure.y) == [0, 2]
    assert unsure.error_x.array[1] == 0
    assert "<img" not in figure.to_json()


def test_the_end_of_a_long_name_is_kept() -> None:
    mmd, coral = (
        two_lines(f"acmr-paper · bow · mobilenet_v2 · 0.5 label + 1 triplet + {last}")
        for last in ("0.1 mmd", "100 coral")
    )
    assert mmd != coral
    assert len(mmd) < 120


def test_curves() -> None:
    figure = precision_recall({EVIL: ([0, 1], [1, 0.5]), "b": ([0, 1], [1, 0.2])})
    assert [list(trace.y) for trace in figure.data] == [[1, 0.5], [1, 0.2]]
    assert "<img" not in figure.to_json()


def test_training_curves() -> None:
    runs = {
        EVIL: [Curve("select", [1, 2, 3], {"loss": [3.0, 2.0, None], "x": [1.0, 1.0, 1.0]})],
        "b": [Curve("final", [1], {"validation_map": [0.5]})],
    }
    assert quantities(runs) == ["loss", "validation_map", "x"]
    (line,) = training(runs, "loss").data
    assert list(line.y) == [3.0, 2.0, None]
    pale, smooth = training(runs, "loss", smoothing=0.5, log=True).data
    assert pale.opacity < 1
    assert smooth.y[1] == pytest.approx((0.25 * 3 + 0.5 * 2) / 0.75)
    assert training(runs, "validation_map").data[0].mode == "markers"
    assert list(training(runs, "x").layout.yaxis.range) == [0, 2]
    assert "<img" not in training(runs, "loss").to_json()


def test_a_log_stands_in_the_figures_of_our_losses() -> None:
    runs = {
        "ours": [Curve("select", [1], {"label": [2.0]})],
        "released": [Curve("final", [1], {"acmr-released/label_loss": [3.0]})],
        "log": [Curve("log", [1], {"label_loss": [4.0], "emb_loss": [9.0]})],
    }
    assert quantities(runs) == ["label", "emb_loss"]
    assert [trace.y[0] for trace in training(runs, "label").data] == [2, 3, 4]


def space(count: int = 24, classes: int = 20) -> Space:
    rows = np.random.default_rng(0).normal(size=(2, count, 4)).astype(np.float32)
    items = tuple(SpaceItem(str(n), f"{EVIL}{n % classes:02}" if n else None) for n in range(count))
    return Space(rows[0], rows[1], np.arange(count), np.arange(count), items)


@pytest.mark.parametrize("colour_by", COLOURINGS)
@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_point_is_drawn_once(colour_by: str, dimensions: int) -> None:
    shown = space()
    at = np.random.default_rng(1).normal(size=(48, dimensions)).astype(np.float32)
    right = np.arange(48) % 3 == 0
    figure = space_map(
        shown,
        at,
        colour_by,
        right,
        clusters=np.arange(48) % 5,
        limits=map_limits([at]),
        pairs=True,
        marked=[3],
    )
    kind = go.Scattergl if dimensions == 2 else go.Scatter3d
    assert all(isinstance(trace, kind) for trace in figure.data)
    places = [p for trace in figure.data[1:-1] for p in trace.customdata]
    assert sorted(places) == list(range(48))
    for trace in figure.data[1:-1]:
        assert trace.x == pytest.approx(at[list(trace.customdata), 0])
    assert len(figure.data[0].x) == 3 * 24
    if dimensions == 3:  # where WebGL draws no translucent line
        assert figure.data[0].opacity is None
        assert figure.data[0].line.color.startswith("#")
    assert list(figure.data[-1].text) == ["1"]
    assert "<img" not in figure.to_json()


def test_classes_look_different() -> None:
    shown = space()
    at = np.zeros((48, 2), np.float32)
    traces = space_map(shown, at, "class").data
    looks = {(trace.marker.color, trace.marker.symbol) for trace in traces}
    assert len(looks) == len(traces) == 42  # 20 classes and none, images and texts
    assert sum(trace.showlegend for trace in traces) == 21


def test_every_class_is_in_the_legend_once() -> None:
    """Also a class that only texts have, and each cluster."""
    found = space()
    only_texts = replace(found, images=found.images[1:], image_rows=found.image_rows[1:])
    at = np.zeros((47, 2), np.float32)
    for colour_by, clusters, count in (("class", None, 21), ("cluster", np.arange(47) % 5, 5)):
        figure = space_map(only_texts, at, colour_by, clusters=clusters)
        listed = [trace.name for trace in figure.data if trace.showlegend]
        assert len(listed) == count
        assert figure.layout.height >= 2 * 22 * count / 3


def test_images_alone() -> None:
    alone = images_only(space(), np.ones((24, 7), np.float32))
    assert len(space_map(alone, np.zeros((24, 2), np.float32), "class").data) == 21


def test_confusion() -> None:
    shown = space(24, 3)
    figure = confusion(answers(shown, "i2t"), shown.classes, 10)
    assert np.asarray(figure.data[0].z).shape == (3, 3)
    assert "<img" not in figure.to_json()


def test_a_page_of_its_own_needs_no_network() -> None:
    page = as_html(go.Figure(go.Scatter(x=[1], y=[2])), EVIL).decode()
    assert "<title>&lt;img" in page
    assert "cdn" not in page.split("</head>")[0].split("<script")[0]
    assert 'src="http' not in page


def test_names() -> None:
    assert plain(EVIL).startswith("&lt;img")
    assert two_lines("a · b · c").startswith("a<br>")
    assert file_name("../../etc/passwd MAP@all") == "etc-passwd-map-all"
    assert file_name("…") == "figure"
