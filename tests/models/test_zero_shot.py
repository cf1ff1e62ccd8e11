"""Pictures named by texts, beside a plain softmax."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmr_hub.errors import CMRError, QueryError, UnknownWordsError
from cmr_hub.models.zero_shot import (
    DEFAULT_LOGIT_SCALE,
    MAX_TEXTS,
    class_probabilities,
    class_vectors,
    classify,
)

NAMES = ["flame", "sea", "grass"]


class Encoders:
    """Texts and pictures that are looked up; what is not there has no known word."""

    logit_scale = 8.0

    def __init__(self, vectors):
        self.vectors = vectors
        self.asked = []

    def encode_texts(self, texts):
        self.asked += texts
        for text in texts:
            if text not in self.vectors:
                raise UnknownWordsError(f"no word is known: {text}")
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)

    def encode_images(self, images, *, progress=False):
        return self.encode_texts(images)


def softmax(row):
    """With Python's floats alone."""
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


@pytest.fixture
def paths(colour_folder):
    return sorted((colour_folder / "test").glob("*.png"))


@pytest.mark.parametrize("temperature", [None, 0.01, 0.5, 3])
def test_probabilities_are_the_softmax_of_scaled_cosines(model, paths, temperature):
    found = model.classify(paths, NAMES, temperature=temperature)
    images = model.encode_images(paths).tolist()
    texts = model.encode_texts([f"a photo of {name}" for name in NAMES]).tolist()
    scale = model.logit_scale if temperature is None else 1 / temperature
    assert len(found) == 12
    for image, scores in zip(images, found, strict=True):
        cosines = [sum(a * b for a, b in zip(image, text, strict=True)) for text in texts]
        expected = dict(zip(NAMES, softmax([scale * value for value in cosines]), strict=True))
        assert {one.name for one in scores} == set(NAMES)
        assert [name for name, _ in scores] == sorted(NAMES, key=expected.get, reverse=True)
        for name, probability in scores:
            assert isinstance(probability, float)
            assert probability == pytest.approx(expected[name], abs=1e-5)
        assert sum(one.probability for one in scores) == pytest.approx(1, abs=1e-6)


def test_as_transformers_computes_it():
    """`logits_per_image.softmax(dim=1)` of CLIP, with the same vectors."""
    import torch

    generator = torch.Generator().manual_seed(0)
    images, texts = (torch.randn(n, 16, generator=generator) for n in (5, 7))
    images, texts = (rows / rows.norm(p=2, dim=-1, keepdim=True) for rows in (images, texts))
    logits = texts @ images.t() * torch.tensor(math.log(100)).exp()
    found = class_probabilities(images.numpy(), texts.numpy(), 1 / 100)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, logits.t().softmax(dim=1).numpy(), atol=1e-5)


@given(
    st.integers(1, 6), st.integers(1, 9), st.floats(1e-320, 1e300, exclude_min=True), st.integers(0)
)
def test_rows_add_up_to_one_whatever_the_temperature(pictures, names, temperature, seed):
    random = np.random.default_rng(seed)
    images, texts = (random.normal(size=(n, 4)) for n in (pictures, names))
    images, texts = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, texts))
    found = class_probabilities(images, texts, temperature)
    assert found.shape == (pictures, names)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    cosines = images @ texts.T
    chosen = cosines[np.arange(pictures), found.argmax(axis=1)]
    if temperature < 1:
        np.testing.assert_allclose(chosen, cosines.max(axis=1), atol=1e-6)


def test_vectors_of_several_templates_are_averaged():
    encoders = Encoders(
        {
            "a": [1, 0, 0],
            "b": [0, 1, 0],
            "a photo of a": [0, 0, 1],
            "a photo of b": [0, 0.6, 0.8],
            "p": [0, 0.8, 0.6],
        }
    )
    found = class_vectors(encoders, ["a", "b"], ["{}", "a photo of {}"])
    half = math.sqrt(0.5)
    second = np.array([0, 1.6, 0.8]) / math.hypot(1.6, 0.8)
    np.testing.assert_allclose(found, [[half, 0, half], second], rtol=1e-6)
    (scores,) = classify(encoders, ["p"], ["a", "b"], template=["{}", "a photo of {}"])
    expected = softmax([8 * (np.array([0, 0.8, 0.6]) @ row) for row in found])
    assert [name for name, _ in scores] == ["b", "a"]
    assert scores[0].probability == pytest.approx(expected[1], abs=1e-6)
    with pytest.raises(QueryError, match="'a' cancel out"):
        class_vectors(Encoders({"a": [1, 0], "not a": [-1, 0]}), ["a"], ["{}", "not {}"])


def test_a_name_is_put_in_as_it_is():
    """No format fields of a name or a template are looked into."""
    name = "{0.__class__} {x!r:>99}"
    encoders = Encoders({name: [1, 0], f"see {name}.": [1, 0]})
    np.testing.assert_array_equal(class_vectors(encoders, [name], "see {}."), [[1, 0]])
    assert encoders.asked == [name, f"see {name}."]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ([], {}, "name of at least one class"),
        ("flame", {}, "must be a list"),
        (["sea", "sea"], {}, "'sea' is repeated"),
        (["sea", " "], {}, "' ' is not a valid"),
        (["sea", 5], {}, "^5 is not a valid class name"),
        (["sea", "\ud800"], {}, "is not a valid"),
        (["sea", "a" * 1001], {}, "longer than 1,000 letters"),
        (range(MAX_TEXTS + 1), {}, "too many"),
        ([str(n) for n in range(MAX_TEXTS // 2)], {"template": ["{}", "a {}", "b {}"]}, "too many"),
        (["sea"], {"template": "a photo"}, "once and no other braces"),
        (["sea"], {"template": "{} and {}"}, "once and no other braces"),
        (["sea"], {"template": "{} {0.__class__}"}, "once and no other braces"),
        (["sea"], {"template": "{:>1000000000}"}, "once and no other braces"),
        (["sea"], {"template": "{{}}"}, "once and no other braces"),
        (["sea"], {"template": "{} " + "a" * 1000}, "at most 1,000 letters"),
        (["sea"], {"template": [None]}, "at most 1,000 letters"),
        (["sea"], {"template": []}, "pass a template"),
        (["sea"], {"temperature": 0}, "above 0"),
        (["sea"], {"temperature": -1.0}, "above 0"),
        (["sea"], {"temperature": math.nan}, "above 0"),
        (["sea"], {"temperature": math.inf}, "above 0"),
    ],
)
def test_what_cannot_be_used_is_refused(model, paths, names, options, message):
    with pytest.raises(QueryError, match=message):
        model.classify(paths[:1], names, **options)


def test_an_unknown_name_is_named_though_the_template_is_known(model, paths):
    with pytest.raises(UnknownWordsError, match=r"the class 'wug'.*no word of the text is known"):
        model.classify(paths[:1], ["sea", "wug"], template="a picture of {}")


def test_pictures_are_a_list_that_may_be_empty(model, paths):
    assert model.classify([], NAMES) == []
    with pytest.raises(CMRError, match="images must be a list"):
        model.classify(paths[0], NAMES)
    assert model.classify(paths[:1], ["sea"]) == [[("sea", 1.0)]]


def test_the_scale_is_the_models(model):
    assert model.logit_scale == DEFAULT_LOGIT_SCALE
