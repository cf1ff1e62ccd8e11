"""`cmr train --preset adapter`, as its console script runs it."""

import json

import numpy as np
import pytest
from tiny_clip import write_clip

import cmr_hub
from cmr_hub.datasets import load_dataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.experiments.results import read_runs
from cmr_hub.experiments.run import run_experiment
from cmr_hub.experiments.transfer import evaluate_transfer
from cmr_hub.training.presets import PRESETS


@pytest.fixture
def command(colour_folder, mobilenet_file, tmp_path):
    return [
        *("train", "folder", "--root", colour_folder, "--image-weights", mobilenet_file),
        *("--preset", "adapter", "--epochs", 3, "--out", tmp_path / "model"),
        *("--results", tmp_path / "runs.jsonl", "--text-encoder", "word2vec"),
    ]


def test_adapter_on_encoders_of_one_length(cmr, command, colour_folder, tmp_path):
    code, out, err = cmr(*command, "--text-option", "dim=1280", "--text-option", "epochs=1")
    assert code == 0, err
    (record,), problems = read_runs(tmp_path / "runs.jsonl")
    assert problems == []
    before = record.zero_shot
    lines = [line.split() for line in out.splitlines()]
    for name, figures in (("MAP@all", record), ("zero-shot", before)):
        assert [
            name,
            *(f"{getattr(figures, key):.3f}" for key in ("map_i2t", "map_t2i", "map_avg")),
        ] in lines
    assert "zero-shot on the test pairs" in out or "is the zero-shot model" in out
    model = cmr_hub.load(tmp_path / "model")
    assert model.dim == 1280
    assert len(model.gallery) == 12
    code, out, _ = cmr("evaluate", tmp_path / "model", "--root", colour_folder, "--json")
    assert code == 0
    again = json.loads(out)
    assert again["map_avg"] == pytest.approx(record.map_avg, abs=1e-6)
    assert again["zero_shot"]["map_avg"] == pytest.approx(before.map_avg, abs=1e-6)
    _, out, _ = cmr("evaluate", tmp_path / "model", "--root", colour_folder)
    assert out.count("  zero-shot") == 8


def test_adapter_wants_two_encoders_into_one_space(cmr, command, tmp_path):
    code, _, err = cmr(*command)
    assert code == 2
    assert "error: adapter adds to features that already share a space." in err
    assert "these features have 1280 and 100 dimensions" in err
    assert list(tmp_path.iterdir()) == []


def test_adapter_on_a_pretrained_dual_encoder(cmr, colour_folder, tmp_path):
    """Both towers are one CLIP; epoch 0 is that CLIP, and so are the figures beside the run."""
    clip = write_clip(tmp_path / "clip")
    code, out, err = cmr(
        *("train", "folder", "--root", colour_folder, "--preset", "adapter", "--epochs", 2),
        *("--image-encoder", f"hf:{clip}", "--text-encoder", f"hf:{clip}", "--snapshots"),
        *("--out", tmp_path / "model", "--results", tmp_path / "runs.jsonl"),
    )
    assert code == 0, err
    assert "zero-shot" in out
    (record,), problems = read_runs(tmp_path / "runs.jsonl")
    assert problems == []
    assert record.image_encoder == record.text_encoder == "hf:clip"
    zero_shot = cmr_hub.load(clip)
    dataset = load_dataset("folder", colour_folder)
    found = evaluate_transfer(zero_shot, dataset, "test", FeatureCache())
    assert record.zero_shot.map_avg == pytest.approx(found.report.map_avg, abs=1e-6)
    trained = cmr_hub.load(tmp_path / "model")
    assert trained.image.encoder.fingerprint == zero_shot.image.encoder.fingerprint
    assert [hit.id for hit in trained.search("a picture of grass", k=12)]


def test_epoch_0_of_the_adapter_is_zero_shot(colour_folder, tmp_path):
    clip = write_clip(tmp_path / "clip")
    dataset = load_dataset("folder", colour_folder)
    found = run_experiment(
        dataset,
        PRESETS["adapter"],
        0,
        image_encoder=image_encoder(f"hf:{clip}"),
        text_encoder=text_encoder(f"hf:{clip}"),
        snapshots=True,
    )
    zero_shot = cmr_hub.load(clip)
    test = dataset.split("test")
    images, texts = found.stages[0] if found.stages else found.test_embeddings
    assert np.abs(images - zero_shot.encode_images(test.images)).max() < 1e-6
    assert np.abs(texts - zero_shot.encode_documents(test.sentences)).max() < 1e-6
