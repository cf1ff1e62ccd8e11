"""Measure the time that a model takes to encode pictures and sentences."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from cmr_hub.training.threads import torch_threads
from cmr_hub.types import FloatArray, ImageSource

PICTURE_SIZE = (640, 480)
"""Width and height of the pictures, in pixels."""
_SUBJECTS = ("a dog", "two cats", "a red bus", "some people", "a boat")
_PLACES = ("on a beach", "in the snow", "in a street", "beside a house", "at night", "on the grass")


class Encodes(Protocol):
    """A model that encodes pictures and sentences."""

    def encode_images(self, images: Sequence[ImageSource]) -> FloatArray:
        """Encode N pictures as (N, d) rows."""

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Encode N sentences as (N, d) rows."""


@dataclass(frozen=True)
class EncodingSpeed:
    """Seconds per picture and per sentence, as medians over the repetitions."""

    picture_alone: float
    picture_in_batch: float
    sentence_alone: float
    sentence_in_batch: float
    batch: int
    """Batch size."""
    turns: int
    threads: int
    """Number of CPU threads that torch used."""


def measure_encoding(
    model: Encodes,
    *,
    batch: int = 32,
    turns: int = 5,
    threads: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> EncodingSpeed:
    """Measure the time that a model takes to encode single items and batches.

    The pictures are random noise in memory: the time includes resizing to the model's input size,
    but not reading and decoding files. One warm-up run precedes each measurement.

    Args:
        model: the model to measure.
        batch: batch size of pictures and of sentences.
        turns: number of repetitions; their median is returned.
        threads: number of CPU threads. Default: as set in torch.
        clock: returns the time in seconds.

    Raises:
        CMRError: an error of the model's `encode_images` or `encode_texts`.
    """
    pictures, sentences = _pictures(batch), _sentences(batch)
    count = torch.get_num_threads() if threads is None else threads

    def seconds(encode: Callable[[], object], items: int) -> float:
        encode()
        taken = []
        for _ in range(turns):
            begun = clock()
            encode()
            taken.append(clock() - begun)
        return statistics.median(taken) / items

    with torch_threads(count):
        return EncodingSpeed(
            picture_alone=seconds(lambda: model.encode_images(pictures[:1]), 1),
            picture_in_batch=seconds(lambda: model.encode_images(pictures), batch),
            sentence_alone=seconds(lambda: model.encode_texts(sentences[:1]), 1),
            sentence_in_batch=seconds(lambda: model.encode_texts(sentences), batch),
            batch=batch,
            turns=turns,
            threads=count,
        )


def _pictures(count: int) -> list[Image.Image]:
    generator = np.random.default_rng(0)
    width, height = PICTURE_SIZE
    shape = (height, width, 3)
    return [
        Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)) for _ in range(count)
    ]


def _sentences(count: int) -> list[str]:
    """Return captions of usual length; the numbers make them distinct."""
    return [
        f"a picture of {_SUBJECTS[number % len(_SUBJECTS)]} "
        f"{_PLACES[number % len(_PLACES)]}, number {number}"
        for number in range(count)
    ]
