"""Validation of the state of saved encoders; every failure is a ModelFormatError."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.encoders.texts.tokens import WORDS_VERSION
from cmr_hub.errors import CMRError, ModelFormatError, shown
from cmr_hub.types import JSONObject

E = TypeVar("E", bound=TextEncoder)


def restore_options(cls: Callable[..., E], settings: JSONObject) -> E:
    """Return an unfitted encoder with `settings["options"]`."""
    options = settings.get("options")
    if not isinstance(options, dict):
        raise ModelFormatError("the options of the text encoder are missing")
    version = settings.get("words_version", 1)
    if version not in range(1, WORDS_VERSION + 1):
        raise ModelFormatError(
            f"the text encoder splits words as in version {shown(version)}; this release knows "
            f"versions up to {WORDS_VERSION}: install a newer release"
        )
    try:
        encoder = cls(**options)
    except CMRError as error:
        raise ModelFormatError(str(error)) from error
    encoder.words_version = version
    return encoder


def words_settings(encoder: TextEncoder) -> JSONObject:
    """Return the setting of the version of words that `restore_options` reads.

    It is left out for version 1, so that the hashes of older encoders remain valid.
    """
    return {} if encoder.words_version == 1 else {"words_version": encoder.words_version}


def expect_vocabulary(settings: JSONObject) -> list[str]:
    """Return `settings["vocabulary"]`: at least one word, without repetitions, in column order."""
    vocabulary = settings.get("vocabulary")
    if (
        not isinstance(vocabulary, list)
        or not vocabulary
        or not all(isinstance(word, str) for word in vocabulary)
    ):
        raise ModelFormatError("the vocabulary must be a list of at least one word")
    if len(set(vocabulary)) != len(vocabulary):
        raise ModelFormatError("the vocabulary has a repeated word")
    return vocabulary


def expect_array(
    arrays: Mapping[str, npt.NDArray[Any]],
    name: str,
    shape: tuple[int | None, ...],
    dtype: npt.DTypeLike,
) -> npt.NDArray[Any]:
    """Return `arrays[name]`, finite, of this dtype and shape; None in `shape` means any length."""
    if name not in arrays:
        raise ModelFormatError(f"the array {shown(name)} is missing")
    array = arrays[name]
    fits = array.ndim == len(shape) and all(
        length >= 1 if expected is None else length == expected
        for length, expected in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(dtype):
        expected_shape = "×".join("any" if length is None else str(length) for length in shape)
        actual_shape = "×".join(map(str, array.shape))
        raise ModelFormatError(
            f"the array {shown(name)} is {actual_shape} {array.dtype}, not {expected_shape} "
            f"{np.dtype(dtype)}"
        )
    if not np.isfinite(array).all():
        raise ModelFormatError(f"the array {shown(name)} has values that are not finite")
    return array
