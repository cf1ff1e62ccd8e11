"""A card: every figure is of the model's own record or of stored runs."""

import json
import re
import statistics
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from cmr_hub.encoders.images import image_encoder_class
from cmr_hub.errors import ModelFormatError
from cmr_hub.experiments.results import append_run
from cmr_hub.hub.card import card_text, write_card
from cmr_hub.loading import load
from cmr_hub.releases import release_directory

RECORD = {
    "dataset": "pascal-sentence",
    "protocol": "800/200",
    "image_encoder": "mobilenet_v2",
    "image_weights": "a" * 64,
    "fine_tuned": None,
    "text_encoder": "bow",
    "text_options": {"min_df": 1},
    "preset": "acmr-paper",
    "objective": "0.5 label + 1 triplet",
    "settings": {
        "objective": {"label": {"weight": 0.5}, "triplet": {}},
        "batch_size": 64,
        "learning_rate": 0.0003,
    },
    "seed": 1,
    "epochs": 10,
    "seconds": 6.555,
    "pairs": {"train": 800, "validation": 120, "test": 200},
    "map_i2t": 0.59062,
    "map_t2i": 0.61234,
    "map_avg": 0.60148,
    "map50_avg": 0.5,
    "image_accuracy": 0.7,
    "text_accuracy": 0.8,
    "versions": {"cmr_hub": "0.1.0", "python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.6",
                 "cpus": 2, "machine": "x86_64", "system": "Linux"},
}  # fmt: skip


@pytest.fixture
def directory(saved_model, tmp_path):
    return with_record(saved_model, tmp_path / "my-model", RECORD)


def with_record(saved, to, record):
    model = load(saved)
    model.training = record
    model.history = [{"epoch": epoch, "loss": 1 / epoch, "label": 0.5} for epoch in (1, 2, 3)]
    model.save_pretrained(to)
    return to


def head(text):
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])


def test_head(directory):
    found = head(card_text(directory))
    assert found["library_name"] == "cmr-hub"
    assert found["pipeline_tag"] == "feature-extraction"
    assert found["datasets"] == ["pascal-sentence"]
    assert found["license"] == "other"
    assert found["license_name"] == "research-data"
    assert found["tags"] == [
        *("cross-modal-retrieval", "image-text-retrieval"),
        *("mobilenet_v2", "bow", "label", "triplet"),
    ]
    assert "base_model" not in found
    results = ModelCard(card_text(directory)).data.eval_results
    assert {result.metric_name: result.metric_value for result in results} == {
        "MAP@all image→text, 800/200": 0.5906,
        "MAP@all text→image, 800/200": 0.6123,
        "MAP@all, mean of both, 800/200": 0.6015,
    }
    assert {(r.dataset_name, r.dataset_config, r.dataset_split) for r in results} == {
        ("Pascal Sentence", "800/200", "test")
    }


def test_body(directory):
    text = card_text(directory, load_name="user/cmr-pascal")
    side = image_encoder_class("mobilenet_v2").preprocessing.crop
    for part in (
        "# CMR Hub: cmr-pascal",
        'load("user/cmr-pascal")',
        "gallery of 12 items",
        "| on | protocol | MAP@all image→text | MAP@all text→image | MAP@all, mean of both |",
        "|---|---|---|---|---|",
        "| Pascal Sentence, test | 800/200 | .591 | .612 | .601 |",
        "- losses: 0.5 label + 1 triplet",
        "- pairs: 800",
        "- seed: 1",
        "- time: 7 s, the projectors on frozen encoders",
        "- hardware: 2 cores, x86_64, Linux",
        "- batch size, learning rate: 64, 0.0003",
        f"It reduces pictures to {side} × {side} pixels",
        "English words and ignores all others",
        "ignores the order of words",
        "for medical purposes",
        "photographs from Flickr, each its photographer's",
        "@software{cmr_hub,",
        "version = {0.1.0}",
    ):
        assert " ".join(part.split()) in " ".join(text.split()), part
    assert "None" not in text
    assert "{{" not in text


def test_seeds_of_the_same_run(directory, tmp_path):
    values = {1: 0.59062, 2: 0.61, 3: 0.55}
    store = tmp_path / "results" / "runs.jsonl"
    for seed in (2, 3):
        append_run(RECORD | {"seed": seed, "map_i2t": values[seed]}, store)
    append_run(RECORD | {"seed": 4, "preset": "cca", "map_i2t": 0.1}, store)
    append_run(RECORD | {"seed": 5, "text_fine_tuned": {"layers": 2}, "map_i2t": 0.1}, store)
    text = card_text(directory, results=tmp_path / "results")
    mean, spread = statistics.fmean(values.values()), statistics.stdev(values.values())
    shown = f"{mean:.3f} ± {spread:.3f}".replace("0.", ".")
    assert f"| 800/200 | {shown} | " in text
    assert "over 3 seeds" in text
    assert head(text)["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.5906


def test_pictures(directory):
    written = write_card(directory)
    text = written.read_text()
    for name in ("training", "common-space"):
        assert f"(card/{name}.png)" in text
        assert (directory / "card" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert text == card_text(directory)
    load(directory)  # a model directory with a card
    write_card(directory)
    assert written.read_text() == text


def test_a_card_elsewhere(directory, tmp_path):
    (tmp_path / "there").mkdir()
    write_card(directory, into=tmp_path / "there", load_name="user/a")
    assert not (directory / "README.md").exists()
    assert "card/training.png" in (tmp_path / "there" / "README.md").read_text()


def test_a_model_without_figures(saved_model, tmp_path):
    text = card_text(with_record(saved_model, tmp_path / "m", {}))
    assert "this model's record has no figures" in text
    assert "model-index" not in head(text)


def test_open_data_and_a_base_model(saved_model, tmp_path):
    record = RECORD | {"dataset": "sketches", "text_encoder": "sentence", "text_options": {}}
    found = head(card_text(with_record(saved_model, tmp_path / "m", record)))
    assert found["license"] == "apache-2.0"
    assert found["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"


@pytest.mark.parametrize(
    "change",
    [
        {"figures": []},
        {"map_i2t": "high"},
        {"settings": []},
        {"versions": 3},
        {"dataset": "a+b", "figures": {"a": {}}},
        {"seconds": "long"},
    ],
)
def test_a_record_that_cannot_be_understood(saved_model, tmp_path, change):
    directory = with_record(saved_model, tmp_path / "m", RECORD | change)
    with pytest.raises(ModelFormatError, match="training record of the model cannot be read"):
        card_text(directory)


def test_text_of_a_record_is_no_template(saved_model, tmp_path):
    record = RECORD | {"preset": "{{ 7 * 7 }}"}
    assert "- preset: {{ 7 * 7 }}" in card_text(with_record(saved_model, tmp_path / "m", record))


def test_the_card_of_the_default_release():
    directory = release_directory("sketch")
    text = (directory / "README.md").read_text(encoding="utf-8")
    assert text == card_text(directory)
    assert {path.name for path in (directory / "card").iterdir()} == {
        *("common-space.png", "training.png")
    }
    results = Path(__file__).parents[2] / "results" / "default.json"
    for found in json.loads(results.read_text(encoding="utf-8"))["figures"].values():
        values = [*found["sentences"].values(), *(found[key] for key in found if "map_" in key)]
        for value in values:
            assert f"| {value:.3f}".replace("0.", ".") in text
            assert f"value: {round(value, 4)}\n" in text


def test_an_adapted_model_stands_beside_zero_shot(saved_model, tmp_path):
    before = {"map_i2t": 0.5, "map_t2i": 0.75, "map_avg": 0.625, "recall_avg": None}
    record = RECORD | {"preset": "adapter", "zero_shot": before}
    text = card_text(with_record(saved_model, tmp_path / "m", record))
    rows = [line for line in text.splitlines() if line.startswith("| Pascal Sentence, test")]
    assert rows == [
        "| Pascal Sentence, test | 800/200 | .591 | .612 | .601 |",
        "| Pascal Sentence, test, zero-shot (before training) | 800/200 | .500 | .750 | .625 |",
    ]
    assert "BELOW zero-shot on the test pairs: MAP@all 0.601 against 0.625." in text
    # The Hub gets the model's own figures only.
    values = {result.metric_value for result in ModelCard(text).data.eval_results}
    assert values == {0.5906, 0.6123, 0.6015}
    assert "zero-shot" not in card_text(with_record(saved_model, tmp_path / "o", RECORD))
