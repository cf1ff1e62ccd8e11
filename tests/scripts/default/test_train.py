"""On a small world of coloured squares, some of them without a label."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from cmr_hub.datasets.joined import joined
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images.compact import CompactEncoder
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.errors import CMRError, TrainingError
from cmr_hub.models.names import TENSORS
from cmr_hub.models.safetensors_header import read_header
from cmr_hub.releases import release_directory
from scripts.default import build
from scripts.default.build import build_release, measure
from scripts.default.train import SKETCH, train_release

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 220)}
PLACES = ("meadow", "kitchen")


def squares(folder, name: str, count: int, *, labelled: bool) -> PairDataset:
    (folder / name).mkdir()
    generator = np.random.default_rng(len(name))
    images, sentences, labels = [], [], []
    for number in range(count):
        colour = list(COLOURS)[number % 3]
        place = PLACES[number // 3 % 2]
        noise = generator.integers(-20, 20, (8, 8, 3))
        pixels = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
        if place == "kitchen":
            pixels[4:] = 255 - pixels[4:]
        path = folder / name / f"{number}.png"
        Image.fromarray(pixels).save(path)
        images.append(path)
        sentences.append((f"a {colour} square in a {place}", f"{colour} paint, {place}"))
        labels.append(list(COLOURS).index(colour) if labelled else -1)
    return PairDataset(
        name=name,
        protocol="all",
        ids=tuple(map(str, range(count))),
        labels=np.array(labels, dtype=np.int64),
        classes=tuple(COLOURS) if labelled else (),
        splits=np.array(["test" if number % 5 == 4 else "train" for number in range(count)]),
        images=tuple(images),
        sentences=tuple(sentences),
    )


@pytest.fixture(scope="module")
def encoder() -> CompactEncoder:
    torch.manual_seed(0)
    return CompactEncoder(CompactEncoder.build().state_dict(), "file")


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> list[PairDataset]:
    folder = tmp_path_factory.mktemp("worlds")
    return [
        squares(folder, "unnamed", 30, labelled=False),
        squares(folder, "named", 45, labelled=True),
    ]


@pytest.fixture(scope="module")
def words(datasets) -> TextEncoder:
    texts = [text for dataset in datasets for text in dataset.split("train").sentences]
    return text_encoder("text-cnn", dim=8, min_count=2, epochs=5, filters=8).fit(texts)


SMALL = replace(SKETCH, epochs=20, patience=20, batch_size=32, dim=16, validation_fraction=0.2)


def test_a_release_from_training_to_search(datasets, encoder, words, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "GALLERY_SCENES", range(3))
    out = tmp_path / "release"
    # A gallery of sketches wants a word that the model knows.
    monkeypatch.setattr(build, "sentences", lambda scene: ["red", "green square"])
    found = build_release(out, datasets, SMALL, encoder, words, FeatureCache(tmp_path / "cache"))
    assert found["items"] == 60  # the training splits
    assert found["pairs"] == 60 * 2 + 36  # each sentence, and each labelled item whole
    assert found["figures"]["named"]["map_avg"] > 0.6
    assert "map_avg" not in found["figures"]["unnamed"]

    from cmr_hub import load

    model = load(out)
    assert model.classes == tuple(COLOURS)
    assert model.training["figures"] == found["figures"]
    stored = read_header(out / TENSORS)
    halves = {name for name, one in stored.items() if one.dtype == "F16"}
    assert halves == {name for name in stored if not name.startswith("centroids")}
    hits = model.search("a red square", k=3)
    assert sorted(hit.id for hit in hits) == [f"sketch-{number:05}" for number in range(3)]
    assert all(hit.path.is_relative_to(out / "pictures") for hit in hits)
    assert {hit.path.suffix for hit in hits} == {".webp"}


def test_photographs_stand_before_the_sketches(datasets, encoder, words, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "SCENES_WITH_PHOTOGRAPHS", range(2))
    monkeypatch.setattr(build, "sentences", lambda scene: ["red", "green square"])
    source, out = tmp_path / "source", tmp_path / "release"
    source.mkdir()
    Image.new("RGB", (20, 10), "red").save(source / "square.webp")
    told = {"file_name": "square.webp", "title": "A square", "author": "Ann", "captions": ["red"]}
    told |= {"licence": "CC0-1.0", "source": "https://example.org/square"}
    (source / "credits.jsonl").write_text(json.dumps(told) + "\n")
    cache = FeatureCache(tmp_path / "cache")
    build_release(out, datasets, SMALL, encoder, words, cache, photographs=source)

    from cmr_hub import load

    gallery = load(out).gallery
    first, *others = gallery.items.to_pylist()
    assert first["path"] == str(out / "pictures" / "photographs" / "square.webp")
    assert (first["kind"], first["author"], first["licence"]) == ("photograph", "Ann", "CC0-1.0")
    assert [item["id"] for item in others] == ["sketch-00000", "sketch-00001"]
    copied = out / "pictures" / "photographs" / "credits.jsonl"
    assert copied.read_bytes() == (source / "credits.jsonl").read_bytes()


def test_a_seed_gives_the_same_model_again(datasets, encoder, words, tmp_path):
    cache = FeatureCache(tmp_path)
    whole = joined([dataset.split("train") for dataset in datasets])
    model = train_release(whole, SMALL, encoder, words, cache)
    again = train_release(whole, SMALL, encoder, words, cache)
    assert model.fingerprint == again.fingerprint
    other = train_release(whole, SMALL, encoder, words, cache, seed=1)
    assert other.fingerprint != model.fingerprint


def test_measuring_is_what_a_plain_loop_finds(datasets, encoder, words, tmp_path):
    cache = FeatureCache(tmp_path)
    dataset = datasets[1]
    model = train_release(joined([dataset.split("train")]), SMALL, encoder, words, cache)
    found = measure(model, dataset, cache)
    part = dataset.split("test")
    images = model.encode_images(part.images)
    hits = []
    for item, sentences in enumerate(part.sentences):
        for sentence in sentences:
            scores = images @ model.encode_texts([sentence])[0]
            hits.append(int((scores > scores[item]).sum()) < 1)
    assert found["sentences"]["recall_at_1"] == pytest.approx(np.mean(hits), abs=0.06)
    assert found["pictures"] == len(part)
    assert found["split"] == "test"
    with pytest.raises(CMRError, match="no test or validation split"):
        measure(model, dataset.split("train"), cache)


def test_labels_are_needed(datasets, encoder, words, tmp_path):
    with pytest.raises(TrainingError, match="some items with a label"):
        train_release(joined(datasets[:1]), SMALL, encoder, words, FeatureCache(tmp_path))


def test_releases_by_name():
    assert release_directory("sketch").name == "sketch"
    with pytest.raises(CMRError, match="unknown release 'other'; choose one of: photos, sketch"):
        release_directory("other")
