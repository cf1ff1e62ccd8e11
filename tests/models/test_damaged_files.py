"""Whatever lies in a model's directory: a value or a CMRError; see `damage.attack`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from damage import Target, as_json, attack, files_of, read_whole
from hypothesis import given
from hypothesis import strategies as st

from cmr_hub import load
from cmr_hub.checksums import sha256_of_file
from cmr_hub.models.config import read_config
from cmr_hub.models.files import read_history
from cmr_hub.models.inspection import inspect_directory
from cmr_hub.models.safetensors_header import read_header


@pytest.fixture(scope="module")
def target(saved_model: Path) -> Target:
    """A whole model; its image encoder, of some MB, is not damaged and not there."""
    files = {
        name: data
        for name, data in files_of(saved_model).items()
        if not name.startswith(("gallery/", "pictures/"))
    }
    weights = files.pop("image_encoder.safetensors", None)
    config = json.loads(files["config.json"])
    if weights is not None:
        config["files"].pop("image_encoder.safetensors", None)
        config["image_tower"]["encoder"] = None
        files["config.json"] = as_json(config)

    def read(folder: Path) -> None:
        inspect_directory(folder)
        read_config(folder / "config.json")
        read_header(folder / "model.safetensors")
        model = load(folder)
        if model.text.encoder is not None:
            assert model.encode_texts(["a picture of grass"]).shape == (1, model.dim)
        if (folder / "history.json").is_file():
            read_history(folder / "history.json")

    def seal(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_bytes())
        content["files"] = {name: sha256_of_file(folder / name) for name in content["files"]}
        (folder / "config.json").write_bytes(as_json(content))

    changes = {
        name: (json.loads(data), as_json) for name, data in files.items() if name.endswith(".json")
    }
    tensors = files["model.safetensors"]
    end = 8 + int.from_bytes(tensors[:8], "little")

    def with_header(header: object) -> bytes:
        text = as_json(header)
        return len(text).to_bytes(8, "little") + text + tensors[end:]

    changes["model.safetensors"] = (json.loads(tensors[8:end]), with_header)
    return Target(files, read, changes, seal)


def test_whole_files_are_read(target: Target) -> None:
    read_whole(target)


@pytest.mark.filterwarnings("ignore")
@given(data=st.data())
def test_any_bytes(target: Target, data: st.DataObject) -> None:
    attack(target, data)
