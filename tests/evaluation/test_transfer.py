"""Another dataset than the model's own."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cmr_hub.datasets import load_dataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.errors import CMRError, UnknownNameError
from cmr_hub.evaluation.results import append_run, read_runs
from cmr_hub.evaluation.transfer import evaluate_transfer
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.towers import ImageTower, TextTower


@pytest.fixture
def dataset(colour_folder):
    """Captions are two a picture; one has no known word, and one picture has none."""
    found = load_dataset("folder", colour_folder)
    sentences = [
        ("a picture of nothing",) if not i % 5 else s for i, s in enumerate(found.sentences)
    ]
    at = np.flatnonzero(found.splits == "test")
    sentences[at[1]] = ("flame", "zyx")
    sentences[at[2]] = ()
    return replace(found, name="other", sentences=tuple(sentences))


@pytest.fixture
def captions(dataset):
    return replace(dataset, labels=np.full(len(dataset), -1), classes=())


def test_captions_are_queries_of_their_own(model, captions, caplog):
    model.training = {"dataset": "folder", "protocol": "folders", "preset": "acmr-paper", "seed": 3}
    transfer = evaluate_transfer(model, captions, "test", FeatureCache())
    report, record = transfer.report, transfer.record
    part = captions.split("test")
    pairs = [(path, text) for path, text in zip(part.images, part.sentences, strict=True) if text]
    assert report.relevance == "pair"
    assert report.i2t.n_queries == len(pairs) == 11
    texts = [(owner, text) for owner, (_, found) in enumerate(pairs) for text in found]
    assert report.t2i.n_queries == len(texts)

    # A plain loop: how many captions find their picture, how many pictures a caption of theirs.
    images = model.encode_images([path for path, _ in pairs])
    known = [model.text.encoder.transform([(text,)]) for _, text in texts]
    rows = model.text.projector.embed(np.concatenate(known))
    owners = np.array([owner for owner, _ in texts])
    for k in (1, 5, 10):
        found = [owners[i] in np.argsort(-(images @ row))[:k] for i, row in enumerate(rows)]
        assert report.t2i.recall[k] == pytest.approx(np.mean(found), abs=2 / len(texts))
        found = [i in owners[np.argsort(-(rows @ image))[:k]] for i, image in enumerate(images)]
        assert report.i2t.recall[k] == pytest.approx(np.mean(found), abs=2 / len(pairs))
    assert record["test_texts_without_known_word"] == 1
    assert f"1 of {len(texts)} texts have no known word" in caplog.text


def test_record(model, captions, tmp_path):
    model.training = {
        **{"dataset": "folder", "protocol": "folders", "preset": "acmr-paper", "seed": 3},
        **{"objective": "1 label", "epochs": 7, "fine_tuned": None},
    }
    record = evaluate_transfer(model, captions, "test", FeatureCache()).record
    assert record["dataset"] == "other"
    assert record["split"] == "test"
    assert record["trained_on"] == {"dataset": "folder", "protocol": "folders"}
    assert record["pairs"] == {"train": 0, "validation": 0, "test": 11}
    assert record["seed"] == 3
    append_run(record, tmp_path / "runs.jsonl")
    assert read_runs(tmp_path / "runs.jsonl") == ([json.loads(json.dumps(record))], [])


def test_labels_are_used_where_they_are(model, dataset):
    report = evaluate_transfer(model, dataset, "test", FeatureCache()).report
    assert report.relevance == "class"
    assert report.i2t.n_queries == report.t2i.n_queries == 11
    assert set(report.i2t.per_class_map) == {"0", "1", "2"}
    # Its classes need not be the model's.
    assert report.image_accuracy is None


def test_what_cannot_be_measured(model, captions):
    with pytest.raises(UnknownNameError, match="validation"):
        evaluate_transfer(model, captions, "validation", FeatureCache())
    textless = replace(captions, sentences=((),) * len(captions))
    with pytest.raises(CMRError, match="the test split of other has no picture with a text"):
        evaluate_transfer(model, textless, "test", FeatureCache())
    features_only = CrossModalModel(
        ImageTower(None, model.image.projector), TextTower(None, model.text.projector)
    )
    with pytest.raises(CMRError, match="both encoders"):
        evaluate_transfer(features_only, captions, "test", FeatureCache())
