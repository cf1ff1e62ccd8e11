"""Settings that ask for a network that no file of theirs can hold."""

import json
import shutil
import time

import pytest
from tiny_clip import config

from cmr_hub import load
from cmr_hub.encoders.pretrained.sizes import refuse_sides, refuse_sizes
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import CMRError, ModelFormatError

SMALL = 90_000_000, 100
"""A file of 90 MB with a hundred tensors, as all-MiniLM-L6-v2 has."""


@pytest.mark.parametrize(
    "settings",
    [
        {"num_hidden_layers": 20_000},
        {"hidden_size": 10**9},
        {"hidden_size": 384, "vocab_size": 10**7},
        {"hidden_size": 384, "max_position_embeddings": 10**7},
        {"hidden_size": 768, "intermediate_size": 10**7},
        {"text_config": {"num_hidden_layers": 101}},
        {"vision_config": {"image_size": 10**6}},
        {"depths": [3, 3, 10**5]},
        {"model_cfg": {"text_cfg": {"layers": 20_000}}},
        {"model_cfg": {"vision_cfg": {"width": 10**10}}},
        {"model_cfg": {"text_cfg": {"width": 512, "vocab_size": 10**8}}},
        {"num_hidden_layers": 1e300},
        {"d_model": 10**400},
    ],
)
def test_more_than_the_files_hold(settings):
    with pytest.raises(ModelFormatError, match=r"^it sets \w+ = .* more than its files can"):
        refuse_sizes(settings, *SMALL, "it")


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden_size": 384, "num_hidden_layers": 6, "vocab_size": 30_522},
        {"hidden_size": 384, "max_position_embeddings": 131_072},  # computed, not a table
        {"num_hidden_layers": 24, "num_hidden_groups": 1},  # ALBERT's share their weights
        {"hidden_size": True, "vocab_size": None, "num_hidden_layers": "many"},
        {"model_max_length": 10**30},
        [],
        None,
    ],
)
def test_what_is_usual(settings):
    refuse_sizes(settings, *SMALL, "it")


def test_pictures_of_a_giant_size():
    with pytest.raises(
        ModelFormatError, match=r"height = 1,000,000 for pictures; the limit is 8,192"
    ):
        refuse_sides({"size": {"height": 10**6, "width": 10}}, "it")
    with pytest.raises(ModelFormatError, match="shortest_edge"):
        refuse_sides({"size": {"shortest_edge": 10**6}}, "it")
    refuse_sides({"size": {"shortest_edge": 224}, "crop_size": 224}, "it")
    refuse_sides({"size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}}, "it")


@pytest.fixture
def folder(clip, tmp_path):
    return shutil.copytree(clip, tmp_path / "clip")


@pytest.mark.parametrize(
    "change",
    [{"num_hidden_layers": 20_000}, {"vocab_size": 10**9}, {"hidden_size": 10**8}],
)
def test_a_dual_encoder(folder, change):
    config(folder, text_config=change)
    start = time.perf_counter()
    with pytest.raises(ModelFormatError, match=r"^clip: config.json sets") as found:
        load(folder)
    assert "\n" not in str(found.value)
    assert time.perf_counter() - start < 2


def test_its_processor(folder):
    (path,) = folder.glob("*processor*.json")
    content = json.loads(path.read_text())
    inner = content.get("image_processor", content)
    inner["size"] = {"height": 10**6, "width": 10**6}
    path.write_text(json.dumps(content))
    with pytest.raises(ModelFormatError, match="for pictures; the limit is"):
        load(folder)


@pytest.mark.parametrize("change", [{"num_hidden_layers": 20_000}, {"vocab_size": 10**9}])
def test_a_sentence_encoder(build_sentence_model, tmp_path, change):
    folder = build_sentence_model(tmp_path / "model")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CMRError, match=r"^sentence: .*config.json sets"):
        text_encoder("sentence", source=str(folder)).fit([["a dog"]])
