"""One model asked from many threads at once: the answers are those of one thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from at_once import at_once

import cmr_hub
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.releases import release_directory
from cmr_hub.training.threads import torch_threads

THREADS = 8
TEXTS = ("two red buses on a street at night", "a white sheep in a meadow", "a train in the snow")
PICTURES = sorted((release_directory("sketch") / "pictures").iterdir())[:20]
# Twenty are two batches, side by side.
QUERIES: list[Callable[[CrossModalModel], np.ndarray]] = [
    *(lambda model, text=text: model.encode_texts([text]) for text in TEXTS),
    lambda model: model.encode_texts(TEXTS),
    *(lambda model, path=path: model.encode_images([path]) for path in PICTURES[:3]),
    lambda model: model.encode_images(PICTURES),
]


@pytest.fixture(autouse=True)
def _two_threads():
    with torch_threads(2):
        yield
        assert torch.get_num_threads() == 2


@pytest.fixture(scope="module")
def expected() -> list[np.ndarray]:
    model = cmr_hub.load("sketch")
    return [query(model) for query in QUERIES]


def asking(model: CrossModalModel, first: int) -> Callable[[], dict[int, np.ndarray]]:
    """All queries, beginning with one."""
    order = [*range(first, len(QUERIES)), *range(first)]
    return lambda: {number: QUERIES[number](model) for number in order}


def compare(answers: dict[int, np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(answers) == len(expected)
    for number, rows in answers.items():
        np.testing.assert_allclose(rows, expected[number], rtol=0, atol=1e-6)


def threads_of_a_new_thread() -> int:
    return at_once([torch.get_num_threads])[0]


def test_a_fresh_model(expected) -> None:
    model = cmr_hub.load("sketch")
    for answers in at_once(asking(model, first) for first in range(THREADS)):
        compare(answers, expected)
    assert threads_of_a_new_thread() == 2
    assert torch.nn.Linear(2, 3)(torch.zeros(1, 2)).shape == (1, 3)


def test_while_another_model_is_loaded(expected, saved_model: Path, colour_folder: Path) -> None:
    flame = [colour_folder / "test" / "flame0.png"]
    other = cmr_hub.load(saved_model).encode_images(flame)
    model = cmr_hub.load("sketch")
    results = at_once(
        [
            *(asking(model, first) for first in range(THREADS - 2)),
            *[lambda: {-1: cmr_hub.load(saved_model).encode_images(flame)}] * 2,
        ]
    )
    for answers in results[:-2]:
        compare(answers, expected)
    for answers in results[-2:]:
        np.testing.assert_allclose(answers[-1], other, rtol=0, atol=1e-6)
    assert threads_of_a_new_thread() == 2


def test_searches_of_a_fresh_model(expected) -> None:
    alone, model = cmr_hub.load("sketch"), cmr_hub.load("sketch")

    def ask(of: CrossModalModel) -> list[object]:
        found = [
            of.search(text, k=5, target=target) for text in TEXTS for target in ("image", "text")
        ]
        return [*found, of.gallery.search(PICTURES[0], where="label = 'bus'")]

    found = at_once([lambda: ask(model)] * THREADS)
    assert found == [ask(alone)] * THREADS
