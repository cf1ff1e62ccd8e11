"""Seconds a picture and a sentence, with a clock that the test sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cmr_hub.experiments.speed import PICTURE_SIZE, measure_encoding


class Slow:
    """A model and a clock: encoding takes as long as the list says, one after the other."""

    def __init__(self, seconds):
        self.seconds = iter(seconds)
        self.now = 0.0
        self.asked = []

    def encode_images(self, images):
        assert {image.size for image in images} == {PICTURE_SIZE}
        return self._encode("image", images)

    def encode_texts(self, texts):
        assert len(set(texts)) == len(texts)
        return self._encode("text", texts)

    def _encode(self, kind, items):
        self.asked.append((kind, len(items), torch.get_num_threads()))
        self.now += next(self.seconds)
        return np.zeros((len(items), 2), np.float32)

    def clock(self):
        return self.now


def test_medians_of_the_turns_after_the_first():
    # Four kinds: one turn that does not count, then three.
    taken = [9, 0.3, 0.1, 0.8, 9, 4, 8, 2, 9, 0.02, 0.01, 0.07, 9, 0.4, 0.2, 0.6]
    model = Slow(taken)
    speed = measure_encoding(model, batch=4, turns=3, threads=2, clock=model.clock)
    assert speed.picture_alone == pytest.approx(0.3)
    assert speed.picture_in_batch == pytest.approx(4 / 4)
    assert speed.sentence_alone == pytest.approx(0.02)
    assert speed.sentence_in_batch == pytest.approx(0.4 / 4)
    assert (speed.batch, speed.turns, speed.threads) == (4, 3, 2)
    kinds = [("image", 1), ("image", 4), ("text", 1), ("text", 4)]
    assert model.asked == [(kind, items, 2) for kind, items in kinds for _ in range(4)]


def test_as_many_threads_as_torch_has():
    before = torch.get_num_threads()
    model = Slow([1.0] * 8)
    assert measure_encoding(model, batch=1, turns=1, clock=model.clock).threads == before
    assert torch.get_num_threads() == before
