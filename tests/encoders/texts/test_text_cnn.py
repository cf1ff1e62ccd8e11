"""The text encoder that reads in order."""

import numpy as np
import pytest
import torch

from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.storage import load_text_encoder, save_text_encoder
from cmr_hub.encoders.texts.text_cnn_network import NOTHING, TextCNN, padded
from cmr_hub.errors import CMRError, ModelFormatError

TEXTS = [
    ("a red car beside a blue house", "the red car"),
    ("a blue car beside a red house",),
    ("two red buses on a street", "a street with two buses", "red buses"),
    ("a blue house on a street",),
] * 3
OPTIONS = {"dim": 12, "min_count": 2, "epochs": 5, "filters": 7}


@pytest.fixture(scope="module")
def encoder():
    return text_encoder("text-cnn", **OPTIONS).fit(TEXTS)


def by_hand(encoder, sentence: str) -> np.ndarray:
    """The row of one sentence with plain loops."""
    settings, arrays = encoder.state()
    vocabulary = settings["words"]["vocabulary"]
    ids = [vocabulary.index(word) for word in sentence.split() if word in vocabulary]
    vectors = arrays["vectors"][ids]
    mean = (arrays["weights"][ids][:, None] * vectors).sum(0)

    def convolution(rows: np.ndarray, name: str) -> np.ndarray:
        weight, bias = arrays[f"reader/{name}.weight"], arrays[f"reader/{name}.bias"]
        found = []
        for place in range(len(rows)):
            total = bias.copy()
            for tap, near in enumerate((place - 1, place, place + 1)):
                if 0 <= near < len(rows):
                    total += weight[:, :, tap] @ rows[near]
            found.append(np.maximum(total, 0))
        return np.array(found)

    first = convolution(vectors, "near")
    highest = (first + convolution(first, "wide")).max(0)
    return np.concatenate([mean / np.linalg.norm(mean), highest])


def test_rows_are_what_plain_loops_find(encoder):
    sentences = ["a red car beside a blue house", "buses", "xyzzy a street unknown blue"]
    found = encoder.transform([(sentence,) for sentence in sentences])
    assert found.shape == (3, 19) == (3, encoder.dim)
    for row, sentence in zip(found, sentences, strict=True):
        np.testing.assert_allclose(row, by_hand(encoder, sentence), rtol=1e-4, atol=1e-5)


def test_order_counts(encoder):
    one, other = encoder.transform(TEXTS[:2])
    bags = ("a red car beside a blue house",), ("a blue car beside a red house",)
    one, other = encoder.transform(bags)
    np.testing.assert_allclose(one[:12], other[:12], rtol=1e-5)
    assert np.abs(one[12:] - other[12:]).max() > 1e-3


def test_a_document_is_the_mean_of_its_sentences(encoder):
    whole = encoder.transform([TEXTS[2], ("xyzzy",), ()])
    single = encoder.transform([(sentence,) for sentence in TEXTS[2]])
    np.testing.assert_allclose(whole[0], single.mean(0), rtol=1e-5, atol=1e-6)
    assert not whole[1:].any()
    assert encoder.transform([]).shape == (0, encoder.dim)


def test_a_row_does_not_depend_on_its_batch(encoder):
    network = encoder.reader()
    ids = encoder.token_ids(["red car", "a red car beside a blue house on a street"])
    alone = network(padded(ids[:1]))
    np.testing.assert_allclose(network(padded(ids))[:1].numpy(), alone.numpy(), rtol=1e-5)
    assert padded(ids)[0, 2:].unique().tolist() == [NOTHING]


def test_unknown_words(encoder):
    assert encoder.unknown_words("a purple car, purple Bus") == ["purple", "bus"]
    assert encoder.knows(("purple", "car"))
    assert not encoder.knows(("purple",))


def test_saved_and_read_again(encoder, tmp_path):
    save_text_encoder(encoder, tmp_path)
    again = load_text_encoder(tmp_path)
    np.testing.assert_array_equal(again.transform(TEXTS), encoder.transform(TEXTS))
    weights = sum(array.nbytes for array in encoder.state()[1].values())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < weights / 2 + 5000


def test_seed():
    def fitted(seed):
        return text_encoder("text-cnn", **OPTIONS, seed=seed).fit(TEXTS).transform(TEXTS)

    np.testing.assert_array_equal(fitted(1), fitted(1))
    assert not np.allclose(fitted(1)[:, 12:], fitted(2)[:, 12:])


def test_a_trained_reader(encoder):
    reader = encoder.reader().requires_grad_(True)
    before = encoder.transform(TEXTS)
    with torch.no_grad():
        reader.near.bias += 1 / 3
    trained = encoder.with_reader(reader)
    np.testing.assert_array_equal(encoder.transform(TEXTS), before)
    assert not np.allclose(trained.transform(TEXTS), before)
    for array in trained.state()[1].values():
        np.testing.assert_array_equal(array, array.astype(np.float16))


def test_not_fitted():
    empty = text_encoder("text-cnn")
    for call in (
        lambda: empty.transform(TEXTS),
        lambda: empty.dim,
        lambda: empty.knows(("a",)),
        empty.state,
        empty.reader,
    ):
        with pytest.raises(CMRError, match="not fitted"):
            call()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda settings, arrays: arrays.pop("reader/near.bias"), "near.bias' is missing"),
        (lambda settings, arrays: arrays.update({"reader/wide.bias": np.zeros(3)}), "3 float64"),
        (lambda settings, arrays: arrays["reader/wide.bias"].fill(np.nan), "not finite"),
        (lambda settings, arrays: settings.pop("words"), "word vectors are missing"),
        (lambda settings, arrays: settings["options"].update(dim=5), "of 12 numbers, not 5"),
        (lambda settings, arrays: settings["options"].update(filters=10**9), "filters|is 7"),
        (
            lambda settings, arrays: settings.pop("options"),
            "options of the text encoder are missing",
        ),
    ],
)
def test_damage(encoder, change, message):
    settings, arrays = encoder.state()
    settings = {**settings, "options": dict(settings["options"])}
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(settings, arrays)
    with pytest.raises(ModelFormatError, match=message):
        type(encoder).from_state(settings, arrays)


def test_shapes(encoder):
    shapes = {name: array.shape for name, array in encoder.reader().weights().items()}
    assert shapes == TextCNN.shapes(12, 7)
