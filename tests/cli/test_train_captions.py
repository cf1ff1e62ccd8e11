"""`cmr train` on captions: without labels, on several datasets, with changed settings."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import cmr_hub
from cmr_hub.cli.preset_options import Changes
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
from cmr_hub.errors import CMRError
from cmr_hub.experiments.methods import get_method
from cmr_hub.experiments.results import read_runs
from cmr_hub.training.presets import PRESETS

COLOURS = {"red": (220, 40, 30), "green": (40, 200, 50), "blue": (30, 60, 210)}


def write(root, splits, labelled=False):
    """Pictures of one colour over another, with two captions that say so."""
    generator = np.random.default_rng(len(str(root)))
    pairs = [(top, low) for top in COLOURS for low in COLOURS]
    for split, count in splits.items():
        (root / split).mkdir(parents=True)
        lines = []
        for number in range(count):
            top, low = pairs[number % 9]
            pixels = np.empty((30, 40, 3))
            pixels[:15], pixels[15:] = COLOURS[top], COLOURS[low]
            noisy = (pixels + generator.normal(0, 12, pixels.shape)).clip(0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(root / split / f"{number}.png")
            line = {
                "file_name": f"{number}.png",
                "captions": [f"{top} above {low}", f"a {low} floor under a {top} wall"],
            }
            lines.append(json.dumps(line | ({"label": top} if labelled else {})))
        (root / split / "metadata.jsonl").write_text("\n".join(lines))


@pytest.fixture
def home(tmp_path, monkeypatch):
    write(tmp_path / "data" / "flickr8k", {"train": 36, "validation": 9})
    write(tmp_path / "data" / "folder", {"train": 27, "test": 9}, labelled=True)
    monkeypatch.setenv("CMR_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def options(home, mobilenet_file):
    return [
        *("--image-weights", mobilenet_file, "--text-encoder", "bow", "--epochs", 4),
        *("--out", home / "model", "--results", home / "runs.jsonl"),
    ]


@pytest.fixture
def nothing_is_encoded(monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("pictures were encoded")

    monkeypatch.setattr(FeatureCache, "encode", refuse)
    monkeypatch.setattr(MobileNetV2Encoder, "encode", refuse)


def by_hand(model, part):
    """Recall@1 and median rank of single captions by a plain loop."""
    images = model.encode_images(part.images)
    ranks = []
    for item, sentences in enumerate(part.sentences):
        for sentence in sentences:
            scores = images @ model.encode_texts([sentence])[0]
            ranks.append(1 + int((scores > scores[item]).sum()))
    return np.mean(np.array(ranks) == 1), np.median(ranks)


def test_pictures_with_captions_alone(cmr, options, home):
    code, out, err = cmr("train", "flickr8k", *options)
    assert code == 0, err
    assert "protocol folders (validation as test), by captions, mobilenet_v2 and bow." in out
    assert "the validation split is evaluated" in out
    (record,), problems = read_runs(home / "runs.jsonl")
    assert problems == []
    assert record.preset == "captions"
    assert record.relevance == "pair"
    assert record.protocol == "folders (validation as test)"
    assert record.pairs["train"] == 36 * 2
    assert record.pairs["test"] == 9
    assert record.captions["queries_t2i"] == 18
    assert record.captions["queries_i2t"] == 9
    from cmr_hub.datasets import load_dataset

    model = cmr_hub.load(home / "model")
    recall, median = by_hand(model, load_dataset("flickr8k").split("validation"))
    assert record.captions["recall_t2i"]["1"] == pytest.approx(recall, abs=0.06)
    assert record.captions["median_rank_t2i"] == pytest.approx(median, abs=0.5)
    assert "single captions" in out
    assert "median rank" in out
    # A line a stage where there is no terminal.
    for line in ("mobilenet_v2 features: row 36 of 36", "training (final): epoch 4 of 4; loss"):
        assert line in err
    assert "%|" not in err

    code, out, err = cmr("evaluate", home / "model", "--json")
    assert code == 0, err
    assert json.loads(out)["captions"] == record.captions
    code, out, err = cmr("evaluate", home / "model", "--dataset", "flickr8k")
    assert code == 0, err
    assert "flickr8k, protocol folders, validation split" in out
    code, _, err = cmr("evaluate", home / "model", "--dataset", "flickr8k", "--split", "test")
    assert code == 2
    assert "choose one of: train, validation" in err


def test_the_validation_split_can_be_asked_for(cmr, options, home, nothing_is_encoded):
    code, _, err = cmr("train", "folder", "--split", "validation", *options)
    assert code == 2
    assert "unknown split of folder folders 'validation'; choose one of: train, test" in err
    code, _, err = cmr("train", "flickr8k", "--split", "train", *options)
    assert code == 2
    assert "unknown split to evaluate on 'train'" in err


def test_captions_take_the_encoders_that_are_installed_and_seeds_side_by_side(cmr, home):
    code, out, err = cmr(
        *("train", "flickr8k", "--epochs", 1, "--seeds", 2, "--out", home / "model"),
        *("--results", home / "runs.jsonl"),
    )
    assert code == 0, err
    assert "by captions, efficientnet_lite2 and sentence." in out
    (record,), _ = read_runs(home / "runs.jsonl")
    assert record.settings["seeds"] == 2
    model = cmr_hub.load(home / "model")
    assert model.image.encoder.name == "efficientnet_lite2"
    assert model.image.projector.settings["blocks"] == 2
    # The names of the image encoder's classes have dimensions of their own.
    assert model.dim == 2 * PRESETS["captions"].dim + model.text.encoder.dim


def test_several_datasets_are_learnt_as_one_and_measured_one_by_one(cmr, options, home):
    code, out, err = cmr("train", "flickr8k", "folder:folders", *options)
    assert code == 0, err
    (record,), problems = read_runs(home / "runs.jsonl")
    assert problems == []
    assert record.dataset == "flickr8k+folder"
    assert record.classes == ["blue", "green", "red"]
    assert record.pairs["train"] == 36 * 2 + 27 * 3
    parts = record.by_dataset
    assert parts["flickr8k"]["relevance"] == "pair"
    assert parts["folder"]["relevance"] == "class"
    assert parts["folder"]["captions"]["queries_t2i"] == 18
    for name in ("flickr8k", "folder"):
        assert f"\n{name}\n" in out
    assert "MAP@all" in out
    model = cmr_hub.load(home / "model")
    assert len(model.gallery) == 18
    assert model.centroids is not None
    code, out, err = cmr("evaluate", home / "model", "--json")
    assert code == 0, err
    assert json.loads(out)["by_dataset"] == parts


def test_labels_stand_beside_captions(cmr, options, home):
    code, out, err = cmr("train", "folder", *options)
    assert code == 0, err
    (record,), _ = read_runs(home / "runs.jsonl")
    assert record.preset == "acmr-paper"
    assert record.relevance == "class"
    assert record.captions["queries_t2i"] == 18
    assert out.index("single captions") < out.index("MAP@all")


def test_what_needs_labels_refuses_first(cmr, options, home, nothing_is_encoded):
    code, _, err = cmr("train", "flickr8k", "--preset", "acmr-paper", *options)
    assert code == 2
    assert "error: flickr8k has no labels, and acmr-paper needs them." in err
    assert "captions" in err
    assert "infonce" in err
    code, _, err = cmr("train", "flickr8k", "--preset", "dscmr", *options)
    assert code == 2
    assert "dscmr needs them" in err
    assert not (home / "model").exists()


@pytest.mark.parametrize("preset", ["mmd", "supcon", "dcca", "cca", "pls"])
def test_what_can_do_without_does(cmr, options, home, preset):
    options = options if preset in PRESETS else [o for o in options if o not in ("--epochs", 4)]
    code, out, err = cmr("train", "flickr8k", "--preset", preset, *options)
    assert code == 0, err
    (record,), _ = read_runs(home / "runs.jsonl")
    assert record.preset == preset
    assert record.pairs["train"] == 36 * 2
    assert "single captions" in out


@pytest.mark.parametrize("preset", ["random", "kcca", "paired-neighbours"])
def test_what_cannot_be_saved_is_refused_before_anything_is_read(cmr, options, home, preset):
    options = [option for option in options if option not in ("--epochs", 4)]
    code, out, err = cmr("train", "no-such-dataset", "--preset", preset, *options)
    assert code == 2
    assert not out
    assert f"{preset} is not a pair of projectors and cannot be saved" in err
    assert "Baselines that can be saved: label, cca, pls, posterior" in err


def test_root_and_protocol_are_of_one_dataset(cmr, options, home):
    code, _, err = cmr("train", "flickr8k", "folder", "--root", home, *options)
    assert code == 2
    assert "root and protocol apply to a single dataset" in err


def test_settings_are_changed(cmr, options, home):
    changes = ("--temperature", 0.2, "--batch-size", 12, "--learning-rate", 0.002, "--dim", 24)
    code, _, err = cmr("train", "flickr8k", *options, *changes)
    assert code == 0, err
    (record,), _ = read_runs(home / "runs.jsonl")
    settings = record.settings
    assert settings["objective"]["infonce"]["temperature"] == 0.2
    assert settings["batch_size"] == 12
    assert settings["learning_rate"] == 0.002
    assert settings["dim"] == 24
    assert cmr_hub.load(home / "model").dim == 24


def test_settings_that_a_preset_has_not():
    with pytest.raises(CMRError, match=r"mmd has no --temperature.*infonce.*captions"):
        Changes(temperature=0.1).of(get_method("mmd"))
    with pytest.raises(CMRError, match=r"cca is fitted in closed form and has no --batch-size"):
        Changes(batch_size=9).of(get_method("cca"))
    with pytest.raises(CMRError, match="cmr-best has no --dim"):
        Changes(dim=9).of(get_method("cmr-best"))
    assert Changes().of(PRESETS["mmd"]) is PRESETS["mmd"]
    assert Changes(epochs=1).of(PRESETS["captions"]).warmup <= 1


def test_train_in_python(home, mobilenet):
    model = cmr_hub.train(
        "flickr8k",
        preset=Changes(epochs=4).of(PRESETS["captions"]),
        image_encoder=mobilenet,
        text_encoder="bow",
        cache_dir=home / "cache",
    )
    assert model.training["preset"] == "captions"
    assert model.training["captions"]["queries_t2i"] == 18
    model.save_pretrained(home / "again")
    again = cmr_hub.load(home / "again")
    assert again.fingerprint == model.fingerprint
    with pytest.raises(CMRError, match="kcca is not a pair of projectors"):
        cmr_hub.train(
            "flickr8k",
            preset="kcca",
            image_encoder=mobilenet,
            text_encoder="bow",
            cache_dir=home / "cache",
        )
