"""`train` from Python: names, folders and arrays; losses and encoders of one's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import cmr_hub
from cmr_hub import PRESETS, losses
from cmr_hub.datasets import Folder
from cmr_hub.datasets.measured import load_measured
from cmr_hub.encoders import ImageEncoder, Preprocessing
from cmr_hub.encoders.texts.bow import BowEncoder
from cmr_hub.errors import CMRError, DataFormatError, TrainingError, UnknownNameError

COUNT, CLASSES = 90, ("bus", "cat", "dog")


class PullLoss(losses.Loss):
    """The mean squared distance of own pairs: no name, no registry."""

    takes_unlabelled = True

    def forward(self, images, texts, labels):
        return (images - texts).square().sum(1).mean()


@pytest.fixture(scope="module")
def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of 90 pairs in three classes, which show in both modalities."""
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.arange(COUNT) % 3)
    centres = generator.normal(size=(3, 6))
    inner = centres[labels] + 0.1 * generator.normal(size=(COUNT, 6))
    images = inner @ generator.normal(size=(6, 20))
    texts = inner @ generator.normal(size=(6, 12))
    return images, texts, np.array(CLASSES)[labels]


def test_arrays(arrays, tmp_path):
    model = cmr_hub.train(arrays, preset="infonce", epochs=5)
    assert model.classes == CLASSES
    assert (model.image.in_dim, model.text.in_dim) == (20, 12)
    assert model.training["pairs"]["test"] == 18
    assert model.training["map_avg"] > 0.9
    rows = model.image.embed(arrays[0].astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    model.save_pretrained(tmp_path / "model")
    again = cmr_hub.load(tmp_path / "model")
    np.testing.assert_array_equal(again.image.embed(arrays[0].astype(np.float32)), rows)


def test_arrays_without_labels(arrays):
    images, texts, _ = arrays
    model = cmr_hub.train([images.tolist(), torch.from_numpy(texts)], preset="infonce", epochs=2)
    assert model.classes == ()
    assert model.training["relevance"] == "pair"
    with pytest.raises(TrainingError, match="acmr-paper needs them"):
        cmr_hub.train((images, texts), preset="acmr-paper")


@pytest.mark.parametrize("preset", ["infonce", "supcon", "acmr-paper", "posterior", "cca"])
def test_several_labels_a_pair(arrays, preset):
    images, texts, names = arrays
    lists = [[name, "all"] if place % 2 else [name] for place, name in enumerate(names)]
    if preset == "posterior":
        with pytest.raises(
            TrainingError, match="several labels per item, and posterior needs exactly one"
        ):
            cmr_hub.train((images, texts, lists), preset=preset)
        return
    model = cmr_hub.train((images, texts, lists), preset=preset)
    assert model.classes == tuple(sorted({*CLASSES, "all"}))
    record = model.training
    assert record["map_avg"] > 0.6
    assert record["ndcg_i2t"]["10"] > 0.6
    assert 0.5 < record["image_accuracy"] <= 1


def test_every_epoch_and_the_test_figures_are_reported(arrays):
    calls = []
    model = cmr_hub.train(
        arrays, preset="supcon", epochs=3, report_to=lambda *call: calls.append(call)
    )
    steps = [step for _, step in calls]
    assert steps == [*range(1, len(model.history) + 1), len(model.history)]
    for (figures, _), row in zip(calls, model.history, strict=False):
        assert figures[f"{row['phase']}/loss"] == row["loss"]
        assert all(isinstance(value, float) for value in figures.values())
    assert "select/validation_map" in calls[0][0]
    assert calls[-1][0]["test/map_avg"] == model.training["map_avg"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((5, 3))}, "there are 5 and 90"),
        ({"images": np.zeros(90)}, r"images must be \(pairs, features\), not of shape \(90,\)"),
        ({"texts": [["a"]] * 90}, "texts must be an array of numbers"),
        ({"texts": np.full((90, 2), np.nan)}, "texts have values that are not finite"),
        ({"labels": [1, 2]}, r"labels must be 90 class numbers or names, .* of shape \(2,\)"),
        ({"labels": [0.5] * 90}, r"labels must be 90 class numbers or names, .* not float64"),
    ],
)
def test_arrays_that_do_not_fit(arrays, change, message):
    parts = dict(zip(("images", "texts", "labels"), arrays, strict=True)) | change
    with pytest.raises(DataFormatError, match=message):
        cmr_hub.train(tuple(parts.values()))


@pytest.mark.parametrize("missing", [-1, None, float("nan"), ""])
def test_arrays_of_which_some_have_no_label(arrays, missing, caplog):
    """They are the same as without those pairs, whichever way a missing label is written."""
    images, texts, labels = arrays
    kinds = {name: number for number, name in enumerate(sorted(set(labels)))}
    given = [kinds[name] if isinstance(missing, int | float) else name for name in labels]
    partly = (images, texts, [missing, *given[1:]])
    model = cmr_hub.train(partly, preset="infonce", epochs=1)
    assert len(model.classes) == 3
    assert sum(model.training["pairs"].values()) == 89 + model.training["pairs"]["validation"]
    caplog.clear()
    found = cmr_hub.evaluate(model, partly)
    without = cmr_hub.evaluate(model, (images[1:], texts[1:], given[1:]))
    assert found.to_dict() == without.to_dict()
    assert "arrays: 1 of 90 items are left out" in caplog.text


def test_the_split_to_measure(colour_folder, mobilenet, tmp_path):
    """Validation is measured when asked for, and then chosen on a part of the training pairs."""
    dataset = cmr_hub.datasets.Folder(colour_folder)
    splits = np.where(np.arange(len(dataset)) % 6 == 0, "validation", dataset.splits)
    dataset = replace(dataset, splits=splits)
    settings = {"image_encoder": mobilenet, "text_encoder": "bow", "epochs": 1}
    model = cmr_hub.train(dataset, split="validation", cache_dir=tmp_path, **settings)
    assert model.training["protocol"] == "folders (validation as test)"
    assert model.training["pairs"]["test"] == 6
    same = cmr_hub.train(
        replace(dataset.subset(splits != "test"), protocol="other"), cache_dir=tmp_path, **settings
    )
    assert same.training["map_avg"] == model.training["map_avg"]
    asked = cmr_hub.train(dataset, split="test", cache_dir=tmp_path, **settings)
    assert asked.training["protocol"] == "folders"
    for split, message in (("train", "split to evaluate on"), ("dev", "test, validation")):
        with pytest.raises(UnknownNameError, match=message):
            cmr_hub.train(dataset, split=split, **settings)
    with pytest.raises(UnknownNameError, match=r"unknown split of folder .*'validation'"):
        cmr_hub.train(dataset.subset(splits == "train"), split="validation", **settings)


@pytest.mark.parametrize(
    ("objective", "settings", "told"),
    [
        ("triplet", {"triplet": {}}, "1 triplet"),
        (
            losses.TripletLoss(margin=0.125),
            {"triplet": {"loss": "triplet", "margin": 0.125, "mining": "random"}},
            "1 triplet",
        ),
        (losses.SupConLoss, {"supcon": {"loss": "supcon"}}, "1 supcon"),
        (PullLoss, {"PullLoss": {"loss": f"{__name__}:PullLoss"}}, "1 PullLoss"),
        (
            {"infonce": {"weight": 0.5}, "pull": PullLoss()},
            {"infonce": {"weight": 0.5}, "pull": {"loss": f"{__name__}:PullLoss"}},
            "0.5 infonce + 1 pull",
        ),
        ({"hard": {"loss": PullLoss, "weight": 2}}, None, "2 hard"),
    ],
)
def test_objectives(arrays, objective, settings, told):
    model = cmr_hub.train(arrays, preset="infonce", objective=objective, epochs=1)
    assert model.training["objective"] == told
    if settings is not None:
        assert model.training["settings"]["objective"] == settings
        assert set(settings) <= set(model.history[0])


def test_an_object_begins_as_it_was_given(arrays):
    """It has parameters: what one training makes of it is not where the next begins."""
    own = losses.build_loss("infonce", 200, 3, learn_temperature=True)
    before = {name: value.clone() for name, value in own.state_dict().items()}
    assert before
    first, second = (
        cmr_hub.train(arrays, preset="infonce", objective=own, epochs=2) for _ in range(2)
    )
    for name, value in own.state_dict().items():
        assert torch.equal(value, before[name])
    assert first.fingerprint == second.fingerprint


def test_the_margin_of_an_object_counts(arrays):
    a, b = (
        cmr_hub.train(
            arrays, preset="infonce", objective=losses.TripletLoss(margin=margin), epochs=2
        )
        for margin in (0.1, 1.5)
    )
    assert a.fingerprint != b.fingerprint


def test_a_registered_loss(arrays, monkeypatch):
    monkeypatch.setattr(losses.LOSSES, "_added", {})
    losses.register("pull-together")(PullLoss)
    model = cmr_hub.train(arrays, preset="infonce", objective="pull-together", epochs=1)
    assert model.training["objective"] == "1 pull-together"
    assert losses.loss_name(PullLoss) == "pull-together"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "tripet"}, "unknown loss 'tripet'"),
        (
            {"objective": 3},
            "a loss must be a name, a subclass of cmr_hub.losses.Loss or an instance of one",
        ),
        ({"objective": torch.nn.Linear(2, 2)}, "a loss must be a name, a subclass"),
        (
            {"objective": {"a": {"loss": losses.TripletLoss(), "margin": 1}}},
            "is already an instance",
        ),
        ({"objective": {"triplet": {"marge": 1}}}, "loss 'triplet' has no option 'marge'"),
        ({"preset": "cca", "objective": "triplet"}, "cca is fitted in closed form"),
        ({"preset": "kcca"}, "kcca is not a pair of projectors"),
        ({"preset": 3}, "preset must be a name or a Preset, not 3"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"test_size": 2}, "must lie between 0 and 1, not 2"),
        ({"image_encoder": "compact"}, "already consists of features: omit the encoders"),
    ],
)
def test_what_cannot_be_trained(arrays, options, message):
    with pytest.raises(CMRError, match=message):
        cmr_hub.train(arrays, **options)


def test_what_is_no_data(tmp_path):
    with pytest.raises(UnknownNameError, match="unknown dataset 'flikr8k'"):
        cmr_hub.train("flikr8k")
    for nothing in (None, 3, [], {}):
        with pytest.raises(CMRError, match="training takes a dataset, a folder, arrays"):
            cmr_hub.train(nothing)


def test_a_folder_with_encoders_of_ones_own(colour_folder, mobilenet, tmp_path):
    """The path alone; what it holds out itself is measured."""
    short = replace(PRESETS["captions"], epochs=1, warmup=0.0, class_names=0.0)
    for folder in (colour_folder, str(colour_folder)):
        model = cmr_hub.train(
            folder,
            preset=short,
            image_encoder=mobilenet,
            text_encoder="bow",
            cache_dir=tmp_path,
        )
        assert model.training["pairs"]["test"] == 12
        assert (model.training["dataset"], model.training["protocol"]) == ("folder", "folders")


def test_a_part_is_held_out_where_nothing_is(colour_folder, mobilenet, tmp_path):
    train = colour_folder / "train"
    model = cmr_hub.train(
        train,
        preset="infonce",
        epochs=1,
        test_size=0.25,
        seed=3,
        image_encoder=mobilenet,
        text_encoder="bow",
        cache_dir=tmp_path,
    )
    assert model.training["protocol"] == "folders (0.25 held out, seed 3)"
    drawn = load_measured("folder", model.training["protocol"], train).split("test")
    assert [drawn.classes[label] for label in drawn.labels] == ["flame"] * 2 + ["grass"] * 2 + [
        "sea"
    ] * 2
    figures = cmr_hub.evaluate(model, root=train, cache_dir=tmp_path)
    assert figures.report.to_dict()["map_avg"] == model.training["map_avg"]
    whole = Folder(train)
    assert set(drawn.ids) < set(whole.ids)


def test_classes_of_encoders(colour_folder, tmp_path):
    class MeanColour(ImageEncoder):
        name, dim = "mean", 3
        preprocessing = Preprocessing(resize=8, crop=8)

        def forward(self, batch):
            return batch.mean((2, 3))

    model = cmr_hub.train(
        colour_folder,
        preset="infonce",
        epochs=1,
        image_encoder=MeanColour,
        text_encoder=BowEncoder,
        cache_dir=tmp_path,
    )
    assert repr(model).startswith("CrossModalModel(dim=200, image='mean', text='bow', classes=3")
    for wrong in (BowEncoder, 3):
        with pytest.raises(CMRError, match="an image encoder must be a name, a subclass of"):
            cmr_hub.train(colour_folder, image_encoder=wrong)
    for wrong in (MeanColour, 3):
        with pytest.raises(CMRError, match="a text encoder must be a name, a subclass of"):
            cmr_hub.train(colour_folder, image_encoder=MeanColour, text_encoder=wrong)
