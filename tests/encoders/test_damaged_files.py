"""Whatever lies in files of encoders: a value or a CMRError; see `damage.attack`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from damage import Target, as_json, attack, files_of, read_whole
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file, save

from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.encoders.devices import Placement
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images.weights import check_state, read_weights
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.sentence_files import _read_json, _require_mean_pooling
from cmr_hub.encoders.texts.storage import (
    ARRAYS_FILE,
    SETTINGS_FILE,
    load_text_encoder,
    save_text_encoder,
)
from cmr_hub.encoders.texts.vector_files import read_vectors
from cmr_hub.float16 import from_half

WORDS = ["dog", "cat", "runs"]
VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype("<f4")
LINES = "".join(f"{w} {' '.join(map(str, v))}\n" for w, v in zip(WORDS, VECTORS, strict=True))
BINARY = b"3 4\n" + b"".join(
    word.encode() + b" " + row.tobytes() for word, row in zip(WORDS, VECTORS, strict=True)
)
DOCUMENTS = [["a dog runs fast", "the dog barks"], ["a cat runs home"], ["the cat and a dog"]] * 3


def of_vectors(name: str, content: bytes) -> Target:
    def read(folder: Path) -> None:
        words, vectors = read_vectors(folder / name)
        assert len(words) == len(vectors)
        assert np.isfinite(vectors).all()

    return Target({name: content}, read)


def of_text_encoder(name: str, **options: Any) -> Target:
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.get("vectors"):
            (folder / "vectors.txt").write_text(LINES)
            options["vectors"] = str(folder / "vectors.txt")
        encoder = text_encoder(name, **options).fit(DOCUMENTS)
        (folder / "vectors.txt").unlink(missing_ok=True)
        save_text_encoder(encoder, folder)
        files = files_of(folder)

    def read(folder: Path) -> None:
        found = load_text_encoder(folder)
        rows = found.transform([["dog"], ["nothing"], ["a cat runs"]])
        assert rows.shape == (3, found.dim)

    def seal(folder: Path) -> None:
        content = json.loads((folder / SETTINGS_FILE).read_bytes())
        content["arrays_sha256"] = sha256_of_arrays(from_half(load_file(folder / ARRAYS_FILE)))
        (folder / SETTINGS_FILE).write_bytes(as_json(content))

    changes = {SETTINGS_FILE: (json.loads(files[SETTINGS_FILE]), as_json)}
    return Target(files, read, changes, seal)


class Mean:
    """An encoder of pictures whose rows are known."""

    name, dim, fingerprint, placement = "mean", 3, "f" * 64, Placement()

    def encode(self, images: list[Any]) -> np.ndarray:
        return np.array([np.asarray(image).mean((0, 1)) for image in images], np.float32)


def of_feature_cache() -> Target:
    pictures = [Image.new("RGB", (2, 2), (n, 2 * n, 3 * n)) for n in range(4)]
    expected = Mean().encode(pictures)

    def read(folder: Path) -> None:
        # A damaged cache is computed anew: the rows are always right.
        found = FeatureCache(folder).encode(Mean(), pictures)
        np.testing.assert_array_equal(found, expected)

    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        FeatureCache(folder).encode(Mean(), pictures[:3])
        return Target(files_of(folder), read)


def of_weights() -> Target:
    import torch

    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    state = {name: value.numpy() for name, value in network.state_dict().items()}

    def read(folder: Path) -> None:
        found = check_state(network, read_weights(folder / "w.safetensors"), "a network")
        assert all(torch.isfinite(value).all() for value in found.values())

    return Target({"w.safetensors": save(state)}, read)


def of_sentence_folder() -> Target:
    modules = [
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    pooling = {"pooling_mode_mean_tokens": True}

    def read(folder: Path) -> None:
        _require_mean_pooling(folder)
        _read_json(folder / "1_Pooling" / "config.json")

    files = {"modules.json": as_json(modules), "1_Pooling/config.json": as_json(pooling)}
    changes = {
        "modules.json": (modules, as_json),
        "1_Pooling/config.json": (pooling, as_json),
    }
    return Target(files, read, changes)


TARGETS: dict[str, Callable[[], Target]] = {
    "vectors.txt": lambda: of_vectors("v.txt", LINES.encode()),
    "vectors with header": lambda: of_vectors("v.vec", b"3 4\n" + LINES.encode()),
    "vectors.txt.gz": lambda: of_vectors("v.txt.gz", gzip.compress(LINES.encode(), mtime=0)),
    "vectors.bin": lambda: of_vectors("v.bin", BINARY),
    "vectors.bin.gz": lambda: of_vectors("v.bin.gz", gzip.compress(BINARY, mtime=0)),
    "bow": lambda: of_text_encoder("bow"),
    "glove": lambda: of_text_encoder("glove", vectors=True, remove_component=True),
    "lda": lambda: of_text_encoder("lda", topics=2, passes=1, min_df=1),
    "text-cnn": lambda: of_text_encoder("text-cnn", dim=4, filters=2, epochs=1),
    "concat": lambda: of_text_encoder("concat", encoders=["bow", "bow"]),
    "feature cache": of_feature_cache,
    "weights": of_weights,
    "sentence encoder": of_sentence_folder,
}


@cache
def target(name: str) -> Target:
    return TARGETS[name]()


@pytest.mark.parametrize("name", TARGETS)
def test_whole_files_are_read(name: str) -> None:
    read_whole(target(name))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
def test_any_bytes(name: str, data: st.DataObject) -> None:
    attack(target(name), data)
