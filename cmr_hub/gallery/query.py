"""Queries: a text, a picture, a vector, or a weighted sum of these."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Union, get_args

import numpy as np
from PIL import Image

from cmr_hub.errors import QueryError, UnknownWordsError, shown
from cmr_hub.models.towers import refuse_file_name
from cmr_hub.types import Modality

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.models.cross_modal import CrossModalModel

Query: TypeAlias = Union[str, Path, "Image.Image", bytes, "npt.NDArray[Any]", "Mix"]
"""A sentence, a picture (a path, a PIL image, the bytes of a file, or a uint8 array (H, W, 3) or
(H, W)), a vector, or a `Mix`."""


_PHRASE: Final = re.compile('(?<!\\w)text:["“”„]([^"“”„]*)["“”„]', re.IGNORECASE)
UNWANTED_WEIGHT: Final = 0.3
"""Default weight of an unwanted part; see `mixed`."""


@dataclass(frozen=True)
class Mix:
    """A weighted sum of queries. Parts with a negative weight are unwanted; see `mixed`.

    Each part is normalised to length 1 before weighting.

    Example:
        >>> Mix((1, Path("beach.jpg")), (0.6, "at night"), (-0.4, "people"))  # doctest: +SKIP
    """

    parts: tuple[tuple[float, Query], ...]

    def __init__(self, *parts: tuple[float, Query]) -> None:
        if not parts:
            raise QueryError("a mix needs at least one part: (weight, text or picture)")
        for part in parts:
            if not isinstance(part, tuple) or len(part) != 2:
                raise QueryError(f"a part of a mix is (weight, text or picture), not {shown(part)}")
            number("the weight of a part", part[0])
        object.__setattr__(self, "parts", parts)


def modality(query: Query) -> Modality | None:
    """Return the modality of a query; None for a vector, or a mix that does not only have texts."""
    if isinstance(query, Mix):
        kinds = {modality(part) for _, part in query.parts}
        return "text" if kinds == {"text"} else None
    if isinstance(query, str):
        return "text"
    return "image" if _is_picture(query) else None


def _is_picture(query: object) -> bool:
    is_pixels = isinstance(query, np.ndarray) and query.dtype == np.uint8 and query.ndim > 1
    return is_pixels or isinstance(query, Path | Image.Image | bytes)


def number(name: str, value: Any) -> float:
    """Return a finite number as a float. Raises QueryError for anything else."""
    try:
        found = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise QueryError(f"{name} must be a finite number, not {shown(value)}")
    return found


def chosen_target(target: Modality | None, available: Sequence[Modality]) -> Modality:
    """Return the modality to search. Default: images, or texts if there are no images.

    Raises:
        QueryError: `target` is not a modality, or the gallery has no vectors of it.
    """
    if target is not None and target not in get_args(Modality):
        raise QueryError(f"target must be 'image' or 'text', not {shown(target)}")
    if target is None:
        return available[0] if available and "image" not in available else "image"
    if available and target not in available:
        raise QueryError(f"this gallery has no {target} vectors; search target={available[0]!r}")
    return target


def split_phrases(text: str) -> tuple[str, list[str]]:
    """Return a text without parts such as `text:"gate 12"`, and their phrases."""
    phrases = _PHRASE.findall(text)
    return (" ".join(_PHRASE.sub(" ", text).split()) if phrases else text), phrases


def without_phrases(query: Query) -> Query | None:
    """Return a query without its `text:` phrases; None if nothing is left."""
    if isinstance(query, Mix):
        parts = [(weight, without_phrases(part)) for weight, part in query.parts]
        left = [(weight, part) for weight, part in parts if part is not None]
        return Mix(*left) if left else None
    if isinstance(query, str):
        rest, phrases = split_phrases(query)
        return None if phrases and not rest else rest
    return query


def query_vector(model: CrossModalModel | None, query: Query) -> npt.NDArray[np.float64]:
    """Encode a query as a (d,) unit vector.

    A query with only `text:` phrases has the vector of their text, which is zero if the model knows
    none of the words.

    Raises:
        QueryError: there is no model to encode texts and pictures, a text is the name of a picture
            file, or the vector is zero or not finite.
        UnknownWordsError, ImageError: the model cannot encode the query.
    """
    plain = without_phrases(query)
    if plain is None:
        phrases = [phrase for text in query_texts(query) for phrase in split_phrases(text)[1]]
        try:
            vectors = _model(model).encode_texts([" ".join(phrases)])
        except UnknownWordsError:
            return np.zeros(_model(model).dim)
        plain = vectors[0]
    match plain:
        case Mix():
            weights = [weight for weight, _ in plain.parts]
            rows = [query_vector(model, part) for _, part in plain.parts]
            if len({len(row) for row in rows}) > 1:
                raise QueryError(
                    "the vectors of a mix have different dimensions: they are from different models"
                )
            vector = mixed(weights, rows)
        case str():
            refuse_file_name(plain)
            vector = _model(model).encode_texts([plain])[0].astype(np.float64)
        case _ if _is_picture(plain):
            vector = _model(model).encode_images([plain])[0].astype(np.float64)
        case _:
            vector = _numbers(plain)
            if vector.ndim != 1:
                raise QueryError(
                    f"a query is a text, a picture, a vector or a Mix, not {shown(query)}"
                )
    unit: npt.NDArray[np.float64] = unit_rows(vector[None])[0]
    return unit


def mixed(
    weights: Sequence[float], rows: Sequence[npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Return the vector of a mix, which is not normalised.

    Let w be the weighted sum of the wanted parts, ŵ = w / |w|, and u_i the unit vectors of the
    parts with a negative weight -a_i. Then

        q = w - Σ a_i (u_i - max(0, u_i·ŵ) ŵ)

    The component that an unwanted part shares with the wanted parts is not subtracted: "an animal"
    without "a cow" moves away from cows, not from animals.

    Args:
        weights: weight of each part.
        rows: (d,) unit vector of each part.
    """
    signed, matrix = np.asarray(weights, dtype=np.float64), np.stack(rows)
    wanted = signed.clip(0) @ matrix
    length = np.linalg.norm(wanted)
    direction = wanted / length if length > 0 else wanted
    shared = (matrix @ direction).clip(0)
    mix: npt.NDArray[np.float64] = wanted + signed.clip(None, 0) @ (
        matrix - shared[:, None] * direction
    )
    return mix


def query_texts(query: Query | None) -> list[str]:
    """Return the texts of a query."""
    if isinstance(query, Mix):
        return [text for _, part in query.parts for text in query_texts(part)]
    return [query] if isinstance(query, str) else []


def unit_rows(vectors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Normalise (Q, d) vectors to length 1. Raises QueryError if one is zero or not finite."""
    rows = _numbers(vectors)
    if rows.ndim != 2:
        raise QueryError(f"queries must be a 2-D array, not {shown(vectors)}")
    if not np.isfinite(rows).all():
        raise QueryError("a query vector has non-finite values")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise QueryError("a query vector is zero: its cosine similarity is undefined")
    unit: npt.NDArray[np.float64] = rows / lengths
    return unit


def _numbers(query: Any) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(query, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise QueryError(
            f"a query is a text, a picture, a vector or a Mix, not {shown(query)}"
        ) from error


def _model(model: CrossModalModel | None) -> CrossModalModel:
    if model is None:
        raise QueryError(
            "without its model, a gallery can only be searched by vector: open it with "
            "Gallery.open(directory, model)"
        )
    return model
