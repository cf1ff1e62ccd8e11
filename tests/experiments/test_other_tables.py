"""Grids whose tables are not MAP between images and texts of one dataset."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from cmr_hub.datasets import load_dataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import CMRError
from cmr_hub.experiments.ablate import planned_cells, run_grid
from cmr_hub.experiments.grid import read_grid
from cmr_hub.experiments.report import write_report
from cmr_hub.experiments.results import read_runs
from cmr_hub.experiments.run import run_experiment
from cmr_hub.experiments.transfer import evaluate_transfer
from cmr_hub.experiments.workers import Materials, Workbench
from cmr_hub.metrics.content_based import content_based_map
from cmr_hub.training.presets import PRESETS

GRID = """
name = "others"
title = "Others"
seeds = [0]

[defaults]
dataset = { name = "folder", root = "$CMR_DATA_HOME/colours" }
protocol = "folders"
image_encoder = "mobilenet_v2"
text_encoder = "bow"
method = { name = "acmr-paper", epochs = 2 }

[[tables]]
id = "transfer"
title = "Transfer"
measure = "recall"
reference = "colours"
[tables.defaults]
test_on = { dataset = { name = "folder", root = "$CMR_DATA_HOME/captions" }, split = "test" }
[[tables.rows]]
label = "colours"
[[tables.rows]]
label = "captions"
dataset = { name = "folder", root = "$CMR_DATA_HOME/captions" }
method = { name = "infonce", epochs = 2 }

[[tables]]
id = "content"
title = "Content"
measure = "content"
reference = "MobileNetV2"
[[tables.rows]]
label = "MobileNetV2"
method = "content-based"
text_encoder = "none"
"""


@pytest.fixture
def home(colour_folder, tmp_path, monkeypatch):
    """`$CMR_DATA_HOME` with the colours, and again without labels and with a broken picture."""
    home = tmp_path / "data"
    shutil.copytree(colour_folder, home / "colours")
    shutil.copytree(colour_folder, home / "captions")
    for split in ("train", "test"):
        file = home / "captions" / split / "metadata.jsonl"
        records = [json.loads(line) for line in file.read_text().splitlines()]
        for record in records:
            del record["label"]
        file.write_text("\n".join(map(json.dumps, records)))
    (home / "captions" / "test" / "sea0.png").write_bytes(b"\x89PNG")
    monkeypatch.setenv("CMR_DATA_HOME", str(home))
    return home


@pytest.fixture
def grid(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(GRID)
    return read_grid(path)


def test_a_grid_of_other_tables(home, grid, mobilenet_file, tmp_path):
    weights, results = {"mobilenet_v2": mobilenet_file}, tmp_path / "results"
    summary = run_grid(grid, results, image_weights=weights, workers=1, cache=tmp_path / "cache")
    assert (summary.run, summary.failures) == (3, [])
    found, problems = read_runs(results / "runs.jsonl")
    assert problems == []
    by_row = {record.row: record for record in found}
    for row in ("colours", "captions"):
        record = by_row[row]
        assert record.relevance == "pair"
        assert record.pairs["test"] == 11  # without the broken one
        assert (record.n_queries_i2t, record.n_queries_t2i) == (11, 22)
        recalls = [
            getattr(record, f"recall_{way}")[k] for way in ("i2t", "t2i") for k in ("1", "5", "10")
        ]
        assert record.recall_avg == pytest.approx(np.mean(recalls))
        assert record.epochs in (1, 2)
        assert record.validation_map > 0
        assert record.image_weights
    assert by_row["colours"].trained_on == {"dataset": "folder", "protocol": "folders"}
    assert by_row["MobileNetV2"].map_avg is None
    assert not (results / "embeddings").exists()
    assert str(home) not in (results / "runs.jsonl").read_text()

    report = write_report(results).read_text()
    assert "folder (root=$CMR_DATA_HOME/captions) test" in report
    assert "| MobileNetV2 | folder | folders | mobilenet_v2 | none | 1 | **" in report
    assert run_grid(grid, results, image_weights=weights, workers=1).found == 3


def test_the_same_figures_as_by_hand(home, grid, mobilenet, mobilenet_file, tmp_path):
    weights = {"mobilenet_v2": mobilenet_file}
    _, cells, _ = planned_cells(grid, tmp_path / "results", weights)
    data = {str(cell.settings.dataset): frozenset() for cell in cells}
    data[str(cells[0].settings.test_on)] = frozenset({"test/sea0.png"})
    bench = Workbench(Materials(weights, tmp_path / "cache", data))
    transferred, content = (bench.run(cell).record for cell in (cells[0], cells[2]))

    colours = load_dataset("folder", home / "colours")
    experiment = run_experiment(
        colours,
        replace(PRESETS["acmr-paper"], epochs=2),
        0,
        image_encoder=mobilenet,
        text_encoder=text_encoder("bow"),
    )
    captions = load_dataset("folder", home / "captions")
    report = evaluate_transfer(experiment.model, captions, "test", FeatureCache()).report
    assert transferred.recall_avg == pytest.approx(report.recall_avg, abs=1e-6)

    test = colours.split("test")
    expected = content_based_map(mobilenet.encode(test.images), test.labels).value
    assert content.map_i2i == pytest.approx(expected)
    assert content.pairs["test"] == 12


def test_a_baseline_that_is_no_model_cannot_be_tested_elsewhere(home, tmp_path, mobilenet_file):
    path = tmp_path / "grid.toml"
    path.write_text(GRID.replace('{ name = "acmr-paper", epochs = 2 }', '"random"'))
    weights = {"mobilenet_v2": mobilenet_file}
    cell = planned_cells(read_grid(path), tmp_path / "results", weights)[1][0]
    data = {str(cell.settings.dataset): frozenset()}
    with pytest.raises(CMRError, match="random is not a pair of projectors"):
        Workbench(Materials(weights, tmp_path / "cache", data)).run(cell)
