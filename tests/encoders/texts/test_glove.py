import numpy as np
import pytest

from cmr_hub.datasets import load_dataset
from cmr_hub.encoders.texts.glove import GloveEncoder
from cmr_hub.errors import CMRError, ModelFormatError

DOCUMENTS = [
    ("A black dog runs on the grass.", "The dog runs fast"),
    ("A grey cat runs on the grass.", "The cat sleeps on the sofa"),
    ("The red car drives on the street", "A car"),
    ("A red bus drives on the street", "The bus is rare"),
] * 5


def test_the_curve_is_kept_and_falls() -> None:
    encoder = GloveEncoder(dim=8, epochs=12, min_count=1).fit(DOCUMENTS)
    assert len(encoder.curve) == 12
    assert all(np.diff(encoder.curve) < 0)
    settings, arrays = encoder.state()
    assert GloveEncoder.from_state(settings, arrays).curve == encoder.curve
    with pytest.raises(ModelFormatError, match="curve"):
        GloveEncoder.from_state(settings | {"curve": ["a"]}, arrays)


def test_a_seed_decides_all() -> None:
    one, two, other = (
        GloveEncoder(dim=8, min_count=1, seed=seed).fit(DOCUMENTS) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one.vectors, two.vectors)
    assert not np.array_equal(one.vectors, other.vectors)


def test_vocabulary_is_by_falling_frequency_and_min_count() -> None:
    encoder = GloveEncoder(dim=4, min_count=10, epochs=1).fit(DOCUMENTS)
    # 40 sentences: "the" 35, "a" 20 + 5, "on" 25 ...
    assert encoder.vocabulary[0] == "the"
    assert "rare" not in encoder.vocabulary
    assert encoder.unknown_words("a rare dog") == ["rare"]


def test_sentences_are_apart() -> None:
    # Only words of one sentence stand together.
    with pytest.raises(CMRError, match="occur together"):
        GloveEncoder(min_count=1).fit([("dog", "cat"), ("bus",)])


ANIMALS = {
    "animal",
    "bird",
    "bulldog",
    "cat",
    "collie",
    "corgi",
    "cow",
    "dachshund",
    "dalmation",
    "doberman",
    "dogs",
    "greyhound",
    "horse",
    "lab",
    "lamb",
    "pitbull",
    "pony",
    "poodle",
    "puppy",
    "retriever",
    "sheep",
    "shepherd",
    "squirrel",
    "swan",
    "terrier",
}
VEHICLES = {
    "atv",
    "bicycle",
    "bike",
    "bmx",
    "boat",
    "bus",
    "canoe",
    "car",
    "kayak",
    "moped",
    "motor",
    "motorbike",
    "motocross",
    "raft",
    "scooter",
    "sidecar",
    "snowmobile",
    "truck",
    "vehicle",
}


def test_neighbours_on_real_captions(data_home) -> None:
    documents = [
        document
        for name in ("flickr8k", "pascal-sentence")
        for document in load_dataset(name, data_home / name, check_images=False).sentences
    ]
    encoder = GloveEncoder(dim=100, window=2, min_count=10, epochs=15).fit(documents)
    assert all(np.diff(encoder.curve) < 0)
    dog = [word for word, _ in encoder.neighbours("dog", 5)]
    assert len(ANIMALS.intersection(dog)) >= 4, dog
    motorcycle = [word for word, _ in encoder.neighbours("motorcycle", 8)]
    assert len(VEHICLES.intersection(motorcycle)) >= 5, motorcycle
