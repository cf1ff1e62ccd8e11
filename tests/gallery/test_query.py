from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cmr_hub.errors import QueryError
from cmr_hub.gallery.query import Mix, query_texts, query_vector


def unit(*numbers: float) -> np.ndarray:
    vector = np.array(numbers)
    return vector / np.linalg.norm(vector)


def test_what_is_shared_with_what_is_wanted_stays() -> None:
    """ "an animal" without "a cow": a cow is an animal (x) and a cow (y)."""
    animal, cow = unit(1, 0, 0), unit(0.8, 0.6, 0)
    found = query_vector(None, Mix((1, animal), (-0.5, cow)))
    np.testing.assert_allclose(found, unit(1, -0.5 * 0.6, 0))
    # Against a plain difference nothing of the animal is lost, so that fewer others come first.
    assert found @ animal > unit(1 - 0.5 * 0.8, -0.5 * 0.6, 0) @ animal


def test_what_points_the_other_way_is_taken_whole() -> None:
    found = query_vector(None, Mix((1, unit(1, 0)), (-0.5, unit(-0.6, 0.8))))
    np.testing.assert_allclose(found, unit(1 + 0.3, -0.4))


def test_the_wanted_parts_count_together() -> None:
    wanted = unit(1, 0, 0), unit(0, 1, 0)
    unwanted = unit(1, 1, 1)
    found = query_vector(
        None, Mix((1, wanted[0]), (-0.4, unwanted), (0.5, wanted[1]), (-0.2, wanted[1]))
    )
    sum_ = np.array([1, 0.5, 0])
    along = unit(*sum_)
    expected = sum_.copy()
    for weight, row in ((0.4, unwanted), (0.2, wanted[1])):
        expected -= weight * (row - (row @ along) * along)
    np.testing.assert_allclose(found, unit(*expected))


def test_only_wanted_and_only_unwanted() -> None:
    first, second = unit(1, 0), unit(0, 1)
    np.testing.assert_allclose(query_vector(None, Mix((1, first), (2, second))), unit(1, 2))
    np.testing.assert_allclose(query_vector(None, Mix((-1, first), (-2, second))), unit(-1, -2))
    # What is wanted and unwanted alike is wanted.
    np.testing.assert_allclose(query_vector(None, Mix((1, first), (-1, first))), first)
    with pytest.raises(QueryError, match="zero"):
        query_vector(None, Mix((0, first)))
    with pytest.raises(QueryError, match="have different dimensions"):
        query_vector(None, Mix((1, first), (-1, unit(1, 0, 0))))


def test_texts_of_a_query() -> None:
    mix = Mix((1, Path("dog.jpg")), (0.5, Mix((1, "at night"), (-1, "fog"))), (-1, "people"))
    assert query_texts(mix) == ["at night", "fog", "people"]
    assert query_texts("a dog") == ["a dog"]
    assert query_texts(Path("dog.jpg")) == []


@pytest.mark.parametrize("text", ["dog.jpg", " Dog.JPEG ", "pictures/dog.png", "~/dog.webp"])
def test_a_file_name_is_no_text(text: str, default) -> None:
    for query in (text, Mix((1, text)), Mix((1, "a dog"), (-1, text))):
        with pytest.raises(QueryError, match=r"Path\('.*'\).* --image"):
            query_vector(default, query)
    with pytest.raises(QueryError, match="the name of a picture file"):
        default.search(text)


@pytest.mark.parametrize(
    "text", ["a dog .jpg", "what is dog.jpg", "dog", "jpg", "dog.jpg.", "dogs."]
)
def test_sentences_are_no_file_names(text: str, default) -> None:
    if default.text.knows((text,)):
        assert len(query_vector(default, text)) == default.dim
