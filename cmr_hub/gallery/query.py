"""What one searches with: a text, a picture, a vector, or a weighted sum of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union, get_args

import numpy as np
from PIL import Image

from cmr_hub.errors import QueryError
from cmr_hub.types import Modality

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.models.cross_modal import CrossModalModel

Query: TypeAlias = Union[str, Path, "Image.Image", "npt.NDArray[np.floating]", "Mix"]
"""A sentence, a picture (a path or an open one), a vector, or a mix of those."""


@dataclass(frozen=True)
class Mix:
    """A weighted sum of queries: the first ones wanted, others with a minus sign.

    Each part counts with its weight as a vector of length 1.

    Example:
        >>> Mix((1, Path("beach.jpg")), (0.6, "at night"), (-0.4, "people"))  # doctest: +SKIP
    """

    parts: tuple[tuple[float, Query], ...]

    def __init__(self, *parts: tuple[float, Query]) -> None:
        if not parts:
            raise QueryError("a mix has at least one part: (weight, text or picture)")
        object.__setattr__(self, "parts", parts)


def modality(query: Query) -> Modality | None:
    """What a query is itself; None for a vector and for a mix with anything but texts."""
    if isinstance(query, Mix):
        kinds = {modality(part) for _, part in query.parts}
        return "text" if kinds == {"text"} else None
    if isinstance(query, str):
        return "text"
    return "image" if isinstance(query, Path | Image.Image) else None


def chosen_target(target: Modality | None, query: Query, there: Sequence[Modality]) -> Modality:
    """What to compare with: as asked, else the other modality than the query's if it is there.

    Raises:
        QueryError: it is no modality, or the gallery has no vectors of it.
    """
    if target is not None and target not in get_args(Modality):
        raise QueryError(f"target must be 'image' or 'text', not {target!r}")
    if target is None:
        target = "text" if modality(query) == "image" else "image"
        return target if target in there or not there else there[0]
    if there and target not in there:
        raise QueryError(f"this gallery has no {target} vectors; search target={there[0]!r}")
    return target


def query_vector(model: CrossModalModel | None, query: Query) -> npt.NDArray[np.float64]:
    """A query → its (d,) vector of length 1.

    Raises:
        QueryError: there is no model to read texts and pictures with, or the vector has no
            direction or numbers that are not finite.
        UnknownWordsError, ImageError: as the model's encoders.
    """
    match query:
        case Mix():
            parts = [weight * query_vector(model, part) for weight, part in query.parts]
            widths = {len(part) for part in parts}
            if len(widths) > 1:
                raise QueryError("the vectors of a mix differ in width: they are not of one model")
            vector = np.sum(parts, axis=0)
        case str():
            vector = _model(model).encode_texts([query])[0].astype(np.float64)
        case Path() | Image.Image():
            vector = _model(model).encode_images([query])[0].astype(np.float64)
        case _:
            vector = np.asarray(query, dtype=np.float64)
    if vector.ndim != 1:
        raise QueryError(f"a query is one vector of numbers, not an array of shape {vector.shape}")
    unit: npt.NDArray[np.float64] = unit_rows(vector[None])[0]
    return unit


def unit_rows(vectors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """(Q, d) vectors of any length → of length 1. Raises QueryError."""
    rows = np.asarray(vectors, dtype=np.float64)
    if not np.isfinite(rows).all():
        raise QueryError("a query vector has numbers that are not finite")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not lengths.all():
        raise QueryError("a query vector is zero: it has no direction to search in")
    unit: npt.NDArray[np.float64] = rows / lengths
    return unit


def _model(model: CrossModalModel | None) -> CrossModalModel:
    if model is None:
        raise QueryError(
            "a gallery that was opened without its model can be searched by vector only: "
            "open it with Gallery.open(directory, model)"
        )
    return model
