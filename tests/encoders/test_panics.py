"""A tokeniser whose Rust breaks down."""

import json
import shutil

import pytest

from cmr_hub import load
from cmr_hub.encoders.panics import refusing_panics
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import ModelFormatError

ENDLESS = "a" * 30 + "b"
SPLIT = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}


def with_endless_expression(folder):
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["pre_tokenizer"] = SPLIT
    path.write_text(json.dumps(content))
    settings = folder / "tokenizer_config.json"
    told = json.loads(settings.read_text())
    # Of the classes of known networks some make their own of it, whatever the file says.
    settings.write_text(json.dumps(told | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


def test_a_sentence_encoder(build_sentence_model, tmp_path):
    folder = with_endless_expression(build_sentence_model(tmp_path / "model"))
    encoder = text_encoder("sentence", source=str(folder)).fit([["a dog"]])
    with pytest.raises(ModelFormatError, match=r"the tokeniser of .* failed: ") as found:
        encoder.transform([[ENDLESS]])
    assert "\n" not in str(found.value)


def test_a_dual_encoder(clip, tmp_path):
    folder = with_endless_expression(shutil.copytree(clip, tmp_path / "clip"))
    with pytest.raises(ModelFormatError, match="the tokeniser of clip failed: "):
        load(folder).encode_texts([ENDLESS])


def test_nothing_else_is_held_back():
    for kind in (KeyboardInterrupt, SystemExit, GeneratorExit, ValueError):
        with pytest.raises(kind), refusing_panics("x"):
            raise kind
