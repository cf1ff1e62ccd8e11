"""Another dataset than the model's own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cmr_hub.datasets import load_dataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import CMRError, UnknownNameError
from cmr_hub.experiments.results import append_run, read_runs
from cmr_hub.experiments.transfer import evaluate_transfer
from cmr_hub.metrics.report import evaluate_retrieval
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
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
    assert record.test_texts_without_known_word == 1
    assert f"1 of {len(texts)} texts have no known word" in caplog.text


def test_record(model, captions, tmp_path):
    model.training = {
        **{"dataset": "folder", "protocol": "folders", "preset": "acmr-paper", "seed": 3},
        **{"objective": "1 label", "epochs": 7, "fine_tuned": None},
    }
    record = evaluate_transfer(model, captions, "test", FeatureCache()).record
    assert record.dataset == "other"
    assert record.split == "test"
    assert record.trained_on == {"dataset": "folder", "protocol": "folders"}
    assert record.pairs == {"train": 0, "validation": 0, "test": 11}
    assert record.seed == 3
    append_run(record, tmp_path / "runs.jsonl")
    assert read_runs(tmp_path / "runs.jsonl") == ([record], [])


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
    with pytest.raises(CMRError, match="other has no item with a picture and a text"):
        evaluate_transfer(model, textless, "test", FeatureCache())
    features_only = CrossModalModel(
        ImageTower(None, model.image.projector), TextTower(None, model.text.projector)
    )
    with pytest.raises(CMRError, match="both encoders"):
        evaluate_transfer(features_only, captions, "test", FeatureCache())


@pytest.fixture
def adapted(mobilenet, colour_folder):
    """A model whose projectors start from its features, and have gone some way from them."""
    words = text_encoder("word2vec", dim=1280, epochs=1)
    words.fit(load_dataset("folder", colour_folder).split("train").sentences)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        projectors = [Projector(1280, (), 1280, residual=True) for _ in range(2)]
        for projector in projectors:
            torch.nn.init.normal_(projector.layers[-1].weight)
    return CrossModalModel(ImageTower(mobilenet, projectors[0]), TextTower(words, projectors[1]))


TRAINED = {"preset": "adapter", "objective": "1 supcon", "seed": 0, "epochs": 3}


def test_an_adapted_model_is_measured_beside_its_features(adapted, dataset, tmp_path):
    whole = dataset.subset(np.flatnonzero([bool(s) for s in dataset.sentences]))
    adapted.training = TRAINED | {"zero_shot": {"map_avg": 0.5}}
    found = evaluate_transfer(adapted, whole, "test", FeatureCache())
    part = whole.split("test")
    images = adapted.image.encoder.encode(part.images)
    texts = adapted.text.encoder.transform(part.sentences)
    expected = evaluate_retrieval(images, texts, part.labels).map_avg
    assert found.zero_shot.map_avg == pytest.approx(expected, abs=1e-6)
    assert found.record.zero_shot.map_avg == found.zero_shot.map_avg
    assert found.report.map_avg != found.zero_shot.map_avg
    append_run(found.record, tmp_path / "runs.jsonl")
    assert read_runs(tmp_path / "runs.jsonl")[1] == []


@pytest.mark.parametrize(
    "change", [{}, {"zero_shot": {"map_avg": 0.5}, "fine_tuned": {"blocks": 1}}]
)
def test_others_have_no_zero_shot(adapted, dataset, change):
    adapted.training = TRAINED | change
    found = evaluate_transfer(adapted, dataset, "test", FeatureCache())
    assert found.zero_shot is None
    assert found.record.zero_shot is None
