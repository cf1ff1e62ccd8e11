"""`evaluate` from Python: a dataset, a folder, arrays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cmr_hub
from cmr_hub.datasets import Folder
from cmr_hub.errors import CMRError, UnknownNameError
from cmr_hub.metrics import evaluate_retrieval
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower


@pytest.fixture
def of_features() -> CrossModalModel:
    return CrossModalModel(
        ImageTower(None, Projector(4, (), 3)), TextTower(None, Projector(5, (), 3))
    )


def features(count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return tuple(generator.normal(size=(count, dim)).astype(np.float32) for dim in (4, 5))


def test_arrays_against_the_metric(of_features):
    images, texts = features()
    labels = np.arange(40) % 4
    figures = cmr_hub.evaluate(of_features, (images, texts, labels))
    rows = of_features.image.embed(images), of_features.text.embed(texts)
    assert figures.report.map_avg == evaluate_retrieval(*rows, labels).map_avg
    pairs = cmr_hub.evaluate(of_features, (images, texts))
    assert pairs.report.relevance == "pair"
    assert pairs.report.recall_avg == evaluate_retrieval(*rows, None).recall_avg
    assert str(pairs) == pairs.table()
    assert "Recall@10" in str(pairs)


def test_a_folder_a_dataset_and_its_splits(model, colour_folder, tmp_path):
    """The same figures whichever way it is given; a split of 12 and all 36."""
    dataset = Folder(colour_folder)
    given = (colour_folder, str(colour_folder), dataset)
    found = [cmr_hub.evaluate(model, one, cache_dir=tmp_path) for one in given]
    assert len({one.report.map_avg for one in found}) == 1
    assert found[0].report.i2t.n_queries == 12
    splits = dataset.splits.copy()
    whole = cmr_hub.evaluate(model, dataset, split="all", cache_dir=tmp_path)
    assert whole.report.i2t.n_queries == 36
    assert (dataset.splits == splits).all(), "what is given stays as it is"
    with pytest.raises(UnknownNameError, match="unknown split of folder folders 'dev'"):
        cmr_hub.evaluate(model, dataset, split="dev")


def test_its_own_dataset(model, colour_folder, tmp_path):
    own = cmr_hub.evaluate(model, root=colour_folder, cache_dir=tmp_path)
    other = cmr_hub.evaluate(model, colour_folder, cache_dir=tmp_path)
    assert own.report.map_avg == other.report.map_avg
    assert own.report.image_accuracy is not None, "the classes are its own"
    model.training.clear()
    with pytest.raises(CMRError, match="does not record which dataset"):
        cmr_hub.evaluate(model)


def test_what_cannot_be_measured(of_features, model, colour_folder):
    images, texts = features()
    with pytest.raises(CMRError, match="images with 4 numbers, but these have 5"):
        cmr_hub.evaluate(of_features, (texts, images))
    with pytest.raises(CMRError, match="only a model with both encoders"):
        cmr_hub.evaluate(of_features, colour_folder)
    of_features.training |= {"dataset": "arrays", "protocol": "arrays"}
    with pytest.raises(CMRError, match="was trained on arrays of features"):
        cmr_hub.evaluate(of_features)
    with pytest.raises(CMRError, match="evaluate needs a model"):
        cmr_hub.evaluate("photos", colour_folder)


@pytest.fixture
def copied(colour_folder, tmp_path) -> Path:
    """A folder of its own."""
    return Path(shutil.copytree(colour_folder, tmp_path / "copied"))


def relabelled(
    folder: Path, change: Callable[[dict[str, object]], dict[str, object] | None]
) -> Path:
    """With another first record of the test split."""
    table = folder / "test" / "metadata.jsonl"
    first, *others = map(json.loads, table.read_text().splitlines())
    records = [record for record in (change(first), *others) if record is not None]
    table.write_text("\n".join(map(json.dumps, records)))
    return folder


@pytest.mark.parametrize("label", [None, float("nan"), "", ["flame"]])
def test_an_item_without_a_label_is_left_out(model, copied, tmp_path, caplog, label):
    """The same figures as without the item, of a named folder and of the model's own."""
    relabelled(copied, lambda record: record | {"label": label})
    found = cmr_hub.evaluate(model, copied, cache_dir=tmp_path / "cache")
    assert "folder: 1 of 12 items are left out: they lack a label" in caplog.text
    own = cmr_hub.evaluate(model, root=copied, cache_dir=tmp_path / "cache")
    relabelled(copied, lambda _: None)
    without = cmr_hub.evaluate(model, copied, cache_dir=tmp_path / "cache")
    assert found.report.relevance == "class"
    assert found.report.i2t.n_queries == 11
    assert found.to_dict() == without.to_dict()
    assert own.report.map_avg == found.report.map_avg
    assert own.captions.to_dict() == found.captions.to_dict()


def test_no_label_at_all_is_no_reason_to_leave_any_out(model, copied, tmp_path):
    table = copied / "test" / "metadata.jsonl"
    records = map(json.loads, table.read_text().splitlines())
    table.write_text("\n".join(json.dumps(one | {"label": None}) for one in records))
    found = cmr_hub.evaluate(model, copied, cache_dir=tmp_path / "cache")
    assert found.report.relevance == "pair"
    assert found.report.i2t.n_queries == 12


def test_without_a_test_split_validation_is_measured_and_told(model, copied, tmp_path, caplog):
    before = cmr_hub.evaluate(model, copied, cache_dir=tmp_path / "cache")
    (copied / "test").rename(copied / "validation")
    found = cmr_hub.evaluate(model, copied, cache_dir=tmp_path / "cache")
    assert "folder has no test split: the validation split is used" in caplog.text
    assert found.to_dict() == before.to_dict()
    with pytest.raises(UnknownNameError, match="'test'; choose one of: train, validation"):
        cmr_hub.evaluate(model, copied, split="test")
    model.training["protocol"] = "folders (validation as test)"
    for split in (None, "test", "validation"):
        own = cmr_hub.evaluate(model, root=copied, split=split, cache_dir=tmp_path / "cache")
        assert own.report.map_avg == before.report.map_avg
