import logging
from dataclasses import replace

import numpy as np
import pytest

from cmr_hub.baselines import baseline
from cmr_hub.baselines.base import Baseline, FittedBaseline
from cmr_hub.datasets import FeatureDataset, load_dataset
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import TrainingError, UnknownNameError
from cmr_hub.experiments.pairs import complete_items, paired_features
from cmr_hub.experiments.results import append_run, read_runs
from cmr_hub.experiments.run import (
    objective_name,
    run_experiment,
)
from cmr_hub.metrics.validation import validation_map
from cmr_hub.models.projector import Projector
from cmr_hub.training.presets import PRESETS, Preset

CLASSES = ("cat", "dog", "owl")


@pytest.fixture
def preset():
    return Preset(
        name="tiny",
        objective={"label": {"weight": 0.5}, "triplet": {}},
        image_hidden=(16,),
        text_hidden=(16,),
        dim=8,
        learning_rate=1e-2,
        batch_size=16,
        epochs=8,
        patience=8,
        validation_fraction=0.25,
    )


def feature_dataset(train=12, validation=0, test=8, seed=0):
    """Separable features, so many items of each class in each split."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(2, 3, 10))
    splits = np.repeat(["train", "validation", "test"], [3 * train, 3 * validation, 3 * test])
    labels = np.arange(len(splits)) % 3
    images, texts = centres[:, labels] + 0.5 * generator.normal(size=(2, len(splits), 10))
    return FeatureDataset(
        name="made-up",
        protocol="p",
        ids=tuple(map(str, range(len(splits)))),
        labels=labels.astype(np.int64),
        classes=CLASSES,
        splits=splits,
        image_features=images.astype(np.float32),
        text_features=texts[:, :9].astype(np.float32),
    )


@pytest.fixture
def pictures(colour_folder):
    return load_dataset("folder", colour_folder)


def state(experiment):
    return {
        f"{part.in_dim}{name}": value
        for part in (experiment.model.image.projector, experiment.model.text.projector)
        for name, value in part.arrays.items()
    }


def same(first, second):
    return all(np.array_equal(state(first)[name], value) for name, value in state(second).items())


def test_features(preset, tmp_path):
    dataset = feature_dataset()
    experiment = run_experiment(dataset, preset, seed=1)
    report, record, model = experiment.report, experiment.record, experiment.model
    assert report.map_avg > 0.9
    assert report.image_accuracy > 0.9
    assert report.text_accuracy > 0.9

    test = dataset.split("test")
    images = model.image.projector.embed(test.image_features)
    texts = model.text.projector.embed(test.text_features)
    np.testing.assert_array_equal(experiment.test_embeddings[0], images)
    np.testing.assert_array_equal(experiment.test_embeddings[1], texts)
    assert experiment.test.ids == test.ids
    named = np.array([CLASSES.index(name) for name in model.predict_classes(images, "image")])
    assert report.image_accuracy == pytest.approx((named == test.labels).mean())
    assert report.map_avg == pytest.approx(validation_map(images, texts, test.labels))

    assert record.dataset == "made-up"
    assert record.protocol == "p"
    assert record.preset == "tiny"
    assert record.objective == "0.5 label + 1 triplet"
    assert record.seed == 1
    assert record.image_encoder == record.text_encoder == "precomputed"
    assert record.pairs == {"train": 36, "validation": 9, "test": 24}
    assert record.map_avg == report.map_avg
    assert record.settings == preset.as_dict()
    assert record.epochs == sum(row["phase"] == "final" for row in experiment.history)
    assert record.seconds == pytest.approx(
        sum(row["seconds"] for row in experiment.history), abs=1e-3
    )
    assert model.training == record.to_dict()
    assert model.history == experiment.history
    assert model.classes == CLASSES
    append_run(record, tmp_path / "runs.jsonl")
    assert read_runs(tmp_path / "runs.jsonl") == ([record], [])


@pytest.mark.parametrize("validation", [0, 4])
def test_the_test_split_changes_nothing_that_is_learnt(preset, validation):
    first = feature_dataset(validation=validation)
    test = first.splits == "test"
    labels, images = first.labels.copy(), first.image_features.copy()
    labels[test] = np.random.default_rng(0).permutation(labels[test])
    images[test] = 1e6
    other = replace(first, labels=labels, image_features=images)
    fewer = first.subset(np.flatnonzero(~test).tolist() + np.flatnonzero(test)[:5].tolist())
    runs = [run_experiment(dataset, preset, seed=0) for dataset in (first, other, fewer)]
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])
    for run in runs[1:]:
        assert run.record.epochs == runs[0].record.epochs
        np.testing.assert_array_equal(run.model.centroids.images, runs[0].model.centroids.images)
    assert runs[0].report.map_avg > runs[1].report.map_avg


def test_own_validation_split_is_not_trained_on(preset):
    dataset = feature_dataset(validation=4)
    first = run_experiment(dataset, preset, seed=0)
    assert {row["phase"] for row in first.history} == {"select"}
    assert first.record.pairs == {"train": 36, "validation": 12, "test": 24}
    assert (
        first.record.epochs
        == max(first.history, key=lambda row: (row["validation_map"], -row["epoch"]))["epoch"]
    )
    mean = dataset.split("train").image_features.mean(axis=0)
    np.testing.assert_allclose(first.model.image.projector.arrays["scaling.mean"], mean, rtol=1e-5)


def test_without_one_all_training_pairs_are_learnt_from(preset):
    dataset = feature_dataset()
    experiment = run_experiment(dataset, preset, seed=0)
    assert {row["phase"] for row in experiment.history} == {"select", "final"}
    train = dataset.split("train")
    scaled_by = experiment.model.image.projector.arrays["scaling.mean"]
    np.testing.assert_allclose(scaled_by, train.image_features.mean(axis=0), rtol=1e-5)
    rows = experiment.model.image.projector.embed(train.image_features)
    mean = rows[train.labels == 1].mean(axis=0)
    np.testing.assert_allclose(
        experiment.model.centroids.images[1], mean / np.linalg.norm(mean), rtol=1e-4
    )


def test_same_seed_same_figures(preset):
    first, second = (run_experiment(feature_dataset(), preset, seed=5) for _ in range(2))
    assert same(first, second)
    assert first.report == second.report
    assert not same(first, run_experiment(feature_dataset(), preset, seed=6))


def test_resumed(preset, tmp_path):
    first = run_experiment(feature_dataset(), preset, seed=5, checkpoints=tmp_path)
    assert list(tmp_path.iterdir())
    second = run_experiment(feature_dataset(), preset, seed=5, checkpoints=tmp_path)
    assert same(first, second)
    assert second.record.seconds == first.record.seconds


def test_pictures_and_sentences(preset, mobilenet, pictures, tmp_path):
    words = text_encoder("bow", min_df=2)
    experiment = run_experiment(
        pictures,
        replace(preset, epochs=20, patience=20),
        0,
        image_encoder=mobilenet,
        text_encoder=words,
    )
    test = pictures.split("test")
    model = experiment.model
    np.testing.assert_allclose(
        model.encode_images(test.images), experiment.test_embeddings[0], atol=1e-4
    )
    np.testing.assert_array_equal(
        model.encode_documents(test.sentences), experiment.test_embeddings[1]
    )
    # Every sentence names its class, so texts are easy; the network of the pictures is random.
    assert experiment.report.text_accuracy == 1
    assert experiment.report.map_avg > 0.6
    # "test" stands in all the test sentences and in none for training.
    assert "test" in words.unknown_words("test")
    assert words.knows(("picture",))
    record = experiment.record
    assert record.image_encoder == "mobilenet_v2"
    assert record.image_weights == mobilenet.weights_sha256
    assert record.text_encoder == "bow"
    assert record.text_options["min_df"] == 2
    assert record.test_texts_without_known_word == 0
    append_run(record, tmp_path / "runs.jsonl")
    model.save_pretrained(tmp_path / "model")


def test_test_texts_without_a_known_word_are_counted(preset, mobilenet, pictures, caplog):
    sentences = list(pictures.sentences)
    for place in np.flatnonzero(pictures.splits == "test")[:3]:
        sentences[place] = ("zyx",)
    dataset = replace(pictures, sentences=tuple(sentences))
    with caplog.at_level(logging.WARNING):
        experiment = run_experiment(
            dataset,
            replace(preset, epochs=1),
            0,
            image_encoder=mobilenet,
            text_encoder=text_encoder("bow"),
        )
    assert experiment.record.test_texts_without_known_word == 3
    assert experiment.report.i2t.n_queries == 12
    assert "3 of 12 texts have no known word" in caplog.text


def test_incomplete_items_are_left_out(preset, mobilenet, pictures, caplog):
    images, sentences, labels = (
        list(pictures.images),
        list(pictures.sentences),
        pictures.labels.copy(),
    )
    images[0], sentences[1], labels[2] = None, (), -1
    dataset = replace(pictures, images=tuple(images), sentences=tuple(sentences), labels=labels)
    with caplog.at_level(logging.WARNING):
        assert complete_items(dataset).ids == pictures.ids[3:]
    assert "3 of 36 items are left out" in caplog.text
    with pytest.raises(TrainingError, match="no item with a picture, a text and a label"):
        complete_items(replace(pictures, images=(None,) * 36))


@pytest.mark.parametrize("rows", ["items", "sentences"])
def test_items_without_a_label_are_not_measured(rows, preset, mobilenet, pictures, caplog):
    """Whether a preset learns from items or from sentences, which need no label."""
    labels = pictures.labels.copy()
    labels[np.flatnonzero(pictures.splits == "test")[:2]] = -1
    method = replace(preset, epochs=1, rows=rows, objective={"infonce": {}}, supervised=False)
    encoders = {"image_encoder": mobilenet, "text_encoder": text_encoder("bow")}
    found = run_experiment(replace(pictures, labels=labels), method, 0, **encoders)
    assert found.report.relevance == "class"
    assert found.report.i2t.n_queries == found.record.pairs["test"] == len(found.test) == 10
    assert "folder: 2 of " in caplog.text


def test_words_that_training_does_not_teach_are_told(preset, mobilenet, pictures, caplog):
    sentences = list(pictures.sentences)
    for place in np.flatnonzero(pictures.splits == "test"):
        sentences[place] = (f"flame wort{place} sache{place} ding{place}",)
    encoders = {"image_encoder": mobilenet, "text_encoder": text_encoder("bow")}
    method = replace(preset, epochs=1)
    run_experiment(pictures, method, 0, **encoders)
    assert "knows only" not in caplog.text
    run_experiment(replace(pictures, sentences=tuple(sentences)), method, 0, **encoders)
    assert "bow knows only 25% of the words of the held-out sentences" in caplog.text


def test_missing_encoders(preset, mobilenet, pictures):
    for encoders in ({}, {"image_encoder": mobilenet}, {"text_encoder": text_encoder("bow")}):
        with pytest.raises(TrainingError, match="need an image encoder and a text encoder"):
            run_experiment(pictures, preset, 0, **encoders)


def test_missing_splits(preset):
    dataset = feature_dataset()
    for split in ("train", "test"):
        with pytest.raises(UnknownNameError, match=f"'{split}'"):
            run_experiment(dataset.split("test" if split == "train" else "train"), preset, 0)


def test_too_few_training_pairs(preset):
    with pytest.raises(TrainingError, match="3 training pairs in 3 classes are too few"):
        run_experiment(feature_dataset(train=1), preset, 0)


def test_feature_rows_are_passed_on():
    dataset = feature_dataset()
    pairs = paired_features(dataset, None, None, cache=None)
    np.testing.assert_array_equal(pairs.images, dataset.image_features)
    np.testing.assert_array_equal(pairs.texts, dataset.text_features)
    assert pairs.n_classes == 3


def test_name_of_an_objective(preset):
    terms = {"label": {"weight": 0.5}, "hard": {"loss": "triplet", "mining": "batch-hard"}}
    assert objective_name(replace(preset, objective=terms)) == "0.5 label + 1 hard"


class Halves:
    def embed(self, rows):
        unit = rows[:, :4] / np.linalg.norm(rows[:, :4], axis=1, keepdims=True)
        return unit.astype(np.float32)


class Cut(Baseline):
    """Looks at the first four numbers of both modalities."""

    name = "cut"

    def __init__(self, embedder):
        self.embedder = embedder

    def _fit(self, splits, seed, score):
        self.splits, self.seed = splits, seed
        return FittedBaseline(self.embedder(splits), self.embedder(splits), {"chosen": 3})


def test_baseline(tmp_path):
    dataset = feature_dataset()
    method = Cut(lambda splits: Halves())
    experiment = run_experiment(dataset, method, seed=2)
    assert experiment.model is None
    assert experiment.history == []
    assert len(method.splits.final) == 36
    assert method.seed == 2
    record = experiment.record
    assert record.preset == "cut"
    assert record.settings == {"chosen": 3}
    assert record.epochs == 0
    assert record.seconds >= 0
    append_run(record, tmp_path / "runs.jsonl")
    rows = dataset.split("test").image_features
    np.testing.assert_array_equal(experiment.test_embeddings[0], Halves().embed(rows))


def test_baseline_of_projectors_is_a_model():
    method = Cut(lambda splits: Projector(splits.fit.images.shape[1], (), 3))
    dataset = feature_dataset()
    dataset = replace(dataset, text_features=dataset.image_features)
    experiment = run_experiment(dataset, method, seed=2)
    assert experiment.model.history == []
    assert experiment.model.classes == CLASSES


def unlabelled(dataset):
    return replace(dataset, labels=np.full(len(dataset), -1), classes=())


def test_without_classes_the_own_pair_is_what_is_learnt(preset):
    """Every item is its own centre, so pairs can be told from each other."""
    generator = np.random.default_rng(5)
    centres = generator.normal(size=(60, 10))
    dataset = replace(
        unlabelled(feature_dataset()),
        image_features=(centres + 0.1 * generator.normal(size=(60, 10))).astype(np.float32),
        text_features=(centres + 0.1 * generator.normal(size=(60, 10))).astype(np.float32),
    )
    preset = replace(preset, objective={"infonce": {}}, epochs=20)
    experiment = run_experiment(dataset, preset, 0)
    assert experiment.report.relevance == "pair"
    assert experiment.report.map_avg > 3 * 0.15  # of 24 pairs, by chance
    assert experiment.record.classes == []
    assert experiment.record.image_accuracy is None
    assert experiment.record.pairs == {"train": 36, "validation": 9, "test": 24}
    assert experiment.model.centroids is None


def test_without_classes_what_needs_them_is_refused(preset):
    dataset = unlabelled(feature_dataset())
    needing = replace(preset, objective={"sdml": {}, "infonce": {}})
    with pytest.raises(
        TrainingError, match=r"no labels, and tiny \(sdml\) needs them.*captions.*cca"
    ):
        run_experiment(dataset, needing, 0)
    for method in (baseline("posterior"), baseline("label"), PRESETS["acmr-paper"]):
        with pytest.raises(TrainingError, match=f"made-up has no labels, and {method.name} needs"):
            run_experiment(dataset, method, 0)


@pytest.mark.parametrize("name", ["random", "cca", "kcca", "pls", "paired-neighbours"])
def test_without_classes_baselines_learn_from_pairs(name):
    generator = np.random.default_rng(5)
    centres = generator.normal(size=(60, 10))
    images, texts = centres + 0.2 * generator.normal(size=(2, 60, 10))
    dataset = replace(
        unlabelled(feature_dataset()),
        image_features=images.astype(np.float32),
        text_features=texts.astype(np.float32),
    )
    report = run_experiment(dataset, baseline(name), 0).report
    assert report.relevance == "pair"
    assert name == "random" or report.map_avg > 0.4  # of 24 pairs, 0.15 by chance


def test_validation_without_labels_is_the_mean_reciprocal_rank():
    generator = np.random.default_rng(0)
    images, texts = generator.normal(size=(2, 9, 4))
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    similarity = images @ texts.T
    ranks = [
        1 + sum(row > row[own])
        for table in (similarity, similarity.T)
        for own, row in enumerate(table)
    ]
    found = validation_map(images, texts, np.full(9, -1))
    assert found == pytest.approx(np.mean([1 / rank for rank in ranks]))
