"""Zero-shot: what features that share a space reach before anything is trained on them."""

from dataclasses import replace

import numpy as np
import pytest

from cmr_hub.datasets import FeatureDataset, load_dataset
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import TrainingError
from cmr_hub.experiments.embedded import untrained_adapter
from cmr_hub.experiments.results import append_run, read_runs
from cmr_hub.experiments.run import run_experiment
from cmr_hub.metrics.report import evaluate_retrieval
from cmr_hub.metrics.validation import validation_map
from cmr_hub.models.centroids import ClassCentroids
from cmr_hub.training.data import PairedFeatures
from cmr_hub.training.finetune import FineTuning
from cmr_hub.training.presets import PRESETS

DIM = 12


def dual_features(train=60, validation=0, test=30, *, shift=3.0, labelled=True, seed=0):
    """The features of a made-up dual encoder, so many items in each split.

    What an image and its text share is theirs alone; a shift of each class, another one in each
    modality, hides it: an adapter can learn to take it off.
    """
    generator = np.random.default_rng(seed)
    splits = np.repeat(["train", "validation", "test"], [train, validation, test])
    labels = np.arange(len(splits)) % 3
    own = generator.normal(size=(len(splits), DIM))
    shifts = shift * np.random.default_rng(99).normal(size=(2, 3, DIM))
    images, texts = own + shifts[:, labels] + 0.3 * generator.normal(size=(2, *own.shape))
    return FeatureDataset(
        name="made-up",
        protocol="p",
        ids=tuple(map(str, range(len(splits)))),
        labels=labels.astype(np.int64) if labelled else np.full(len(splits), -1),
        classes=("cat", "dog", "owl") if labelled else (),
        splits=splits,
        image_features=images.astype(np.float32),
        text_features=texts.astype(np.float32),
    )


def unit(rows):
    return rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)


@pytest.fixture
def preset():
    return replace(PRESETS["adapter"], epochs=12, patience=12, learning_rate=3e-3)


@pytest.mark.parametrize("labelled", [True, False])
def test_zero_shot_is_that_of_the_features_as_they_are(labelled):
    dataset = dual_features(validation=20, labelled=labelled)
    parts = [dataset.split(name) for name in ("train", "validation", "test")]
    train, validation, test = (
        PairedFeatures(p.image_features, p.text_features, p.labels, len(p.classes)) for p in parts
    )
    found = run_experiment(dataset, replace(PRESETS["adapter"], epochs=1), 0).zero_shot
    images, texts = unit(test.images), unit(test.texts)
    expected = evaluate_retrieval(images, texts, test.labels if labelled else None)
    assert found.report.map_avg == pytest.approx(expected.map_avg)
    assert found.report.recall_avg == pytest.approx(expected.recall_avg)
    own = validation_map(unit(validation.images), unit(validation.texts), validation.labels)
    assert found.validation_map == pytest.approx(own)
    if labelled:
        centroids = ClassCentroids.fit(unit(train.images), unit(train.texts), train.labels, 3)
        named = centroids.predict(images.astype(np.float32), "image")
        assert found.report.image_accuracy == pytest.approx((named == test.labels).mean())
    else:
        assert found.report.image_accuracy is None


def test_untrained_adapter():
    rows = np.random.default_rng(0).normal(2, 9, (7, DIM)).astype(np.float32)
    np.testing.assert_allclose(untrained_adapter(DIM).embed(rows), unit(rows), atol=1e-6)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("validation", [0, 30])
def test_an_adapter_helps_where_it_can(preset, labelled, validation, tmp_path):
    dataset = dual_features(240, validation, labelled=labelled)
    experiment = run_experiment(dataset, preset, 0, checkpoints=tmp_path)
    record, before = experiment.record, experiment.record.zero_shot
    assert record.map_avg > before.map_avg + 0.1
    assert before.map_avg == experiment.zero_shot.report.map_avg
    test = dataset.split("test")
    score = validation_map(unit(test.image_features), unit(test.text_features), test.labels)
    assert before.map_avg == pytest.approx(score)
    assert before.model_fields_set - {"validation_map"} <= record.model_fields_set
    assert experiment.model.dim == DIM
    assert experiment.model.training == record.to_dict()
    assert "Training improved on zero-shot on the test pairs: MAP@all" in experiment.summary()
    lines = experiment.summary().splitlines()
    assert lines[1].startswith("MAP@all")
    assert lines[2].split() == [
        "zero-shot",
        *(f"{getattr(before, key):.3f}" for key in ("map_i2t", "map_t2i", "map_avg")),
    ]
    append_run(record, tmp_path / "runs.jsonl")
    assert read_runs(tmp_path / "runs.jsonl") == ([record], [])


def test_where_no_epoch_is_better_the_model_is_zero_shot(preset):
    harmful = replace(preset, learning_rate=0.5, epochs=3)
    dataset = dual_features(shift=0.0)
    experiment = run_experiment(dataset, harmful, 0)
    record = experiment.record
    assert record.epochs == 0
    before = record.zero_shot.to_dict()
    assert {key: getattr(record, key) for key in before.keys() - {"validation_map"}} == {
        key: value for key, value in before.items() if key != "validation_map"
    }
    rows = dataset.split("test").image_features
    np.testing.assert_allclose(experiment.test_embeddings[0], unit(rows), atol=1e-6)
    assert "this model is the zero-shot model" in experiment.summary()


def test_ending_below_zero_shot_is_said(preset):
    """Validation pairs that a shift hides, test pairs that the same change spoils."""
    dataset = dual_features(240, 30, 30)
    features = dataset.image_features.copy()
    test = dataset.splits == "test"
    features[test] = dataset.text_features[test]
    experiment = run_experiment(replace(dataset, image_features=features), preset, 0)
    assert experiment.record.epochs > 0
    assert experiment.report.recall_avg < experiment.zero_shot.report.recall_avg
    assert "Training ended BELOW zero-shot on the test pairs: " in experiment.summary()


def test_other_presets_have_no_zero_shot(preset):
    experiment = run_experiment(dual_features(), replace(PRESETS["infonce"], epochs=1), 0)
    assert experiment.zero_shot is None
    assert experiment.record.zero_shot is None
    assert experiment.summary() == experiment.report.table()


def test_snapshots_begin_with_the_features(preset):
    dataset = dual_features()
    stages = run_experiment(dataset, preset, 0, snapshots=True).stages
    rows = dataset.split("test").image_features
    np.testing.assert_allclose(stages[0][0], unit(rows), atol=1e-6)


def test_two_spaces_are_refused_before_anything_is_encoded(preset, mobilenet, colour_folder):
    class NoCache:
        def __getattr__(self, name):
            raise AssertionError("something was encoded")

    pictures = load_dataset("folder", colour_folder)
    with pytest.raises(
        TrainingError, match=r"adapter .* dual encoder .*these features have 1280 and \d+"
    ):
        run_experiment(
            *(pictures, preset, 0),
            image_encoder=mobilenet,
            text_encoder=text_encoder("bow"),
            cache=NoCache(),
        )
    dataset = dual_features()
    shorter = replace(dataset, text_features=dataset.text_features[:, :5])
    with pytest.raises(TrainingError, match="these features have 12 and 5"):
        run_experiment(shorter, preset, 0)


def test_zero_shot_of_a_fine_tuned_encoder_is_that_of_the_pretrained_one(
    preset, mobilenet, colour_folder
):
    pictures = load_dataset("folder", colour_folder)
    words = text_encoder("word2vec", dim=1280, epochs=1)
    experiment = run_experiment(
        *(pictures, replace(preset, epochs=1), 0),
        image_encoder=mobilenet,
        text_encoder=words,
        fine_tuning=FineTuning(1),
    )
    test = pictures.split("test")
    images, texts = unit(mobilenet.encode(test.images)), unit(words.transform(test.sentences))
    expected = evaluate_retrieval(images, texts, test.labels).map_avg
    assert experiment.record.zero_shot.map_avg == pytest.approx(expected, abs=0.02)
