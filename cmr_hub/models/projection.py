"""Apply a trained projector with numpy, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from cmr_hub.checksums import sha256_of_arrays

if TYPE_CHECKING:
    import numpy.typing as npt

    from cmr_hub.types import FloatArray, JSONObject

Output: TypeAlias = Literal["linear", "sphere", "softmax", "tanh", "posterior-0", "posterior-1"]

_ACTIVATIONS: Final[dict[str, Callable[[FloatArray], FloatArray]]] = {
    "relu": lambda rows: np.maximum(rows, 0, out=rows),
    "tanh": lambda rows: np.tanh(rows, out=rows),
}
_LEAST_LENGTH: Final = 1e-12  # as in torch


class Projection:
    """A trained projector in numpy; see `Projector`.

    Args:
        settings: settings of the projector.
        arrays: float32 tensors by their names in torch; see `shapes`. Their values must not change
            once `sha256` has been used.
    """

    def __init__(self, settings: JSONObject, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self.settings = settings
        self.arrays = dict(arrays)
        self.in_dim, self.dim = int(settings["in_dim"]), int(settings["dim"])
        self._blocks = int(settings.get("blocks", 1))
        self._linear = _linear_parts_of(settings)
        self._layers = [
            (self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"])
            for name in _layer_names(settings)
        ]

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the arrays, cached because opening a gallery compares it several times."""
        return sha256_of_arrays(self.arrays)

    def projection(self) -> Projection:
        """Return this projection, for compatibility with `Projector.projection`."""
        return self

    def embed(self, rows: FloatArray) -> FloatArray:
        """Map (N, in_dim) features to (N, dim) float32 unit vectors of the common space."""
        return _normalised(self._outputs(np.asarray(rows, dtype=np.float32)))

    def _outputs(self, rows: FloatArray) -> FloatArray:
        """Map (N, in_dim) features to (N, dim) outputs z."""
        mean, scale = self.arrays["scaling.mean"], self.arrays["scaling.scale"]
        activate = _ACTIVATIONS[self.settings["activation"]]
        last = scaled = (rows - mean) * scale
        for number, (weight, bias) in enumerate(self._layers):
            last = self._block_product(activate(last), weight) if number else _times(last, weight)
            last += bias
        if self.settings.get("residual"):
            return rows + last / scale
        match self.settings["output"]:
            case "sphere":
                parts = last.reshape(len(last), self._blocks, last.shape[1] // self._blocks)
                unit = _normalised(parts).reshape(last.shape)
                return self._with_linear(unit, scaled) if self._linear else unit
            case "softmax":
                posterior = _softmax(last)
                if not self._linear:
                    return posterior
                return self._with_linear(_normalised(posterior), scaled)
            case "tanh":
                np.tanh(last, out=last)
            case "posterior-0" | "posterior-1" as output:
                posterior = _softmax(last)
                rest = 1 - np.square(posterior).sum(axis=1, keepdims=True)
                rest = np.sqrt(rest.clip(_LEAST_LENGTH))
                slots = (rest, np.zeros_like(rest))
                return np.hstack([posterior, *(slots if output[-1] == "0" else slots[::-1])])
        return last

    def _with_linear(self, unit: FloatArray, scaled: FloatArray) -> FloatArray:
        dims, shares = zip(*self._linear, strict=True)
        rows = _times(scaled, self.arrays["linear.weight"])
        parts = np.split(rows, np.cumsum(dims)[:-1], axis=1)
        linear = [
            _normalised(part) * np.float32(share**0.5)
            for part, share in zip(parts, shares, strict=True)
        ]
        factor = ((1 - sum(shares)) / self._blocks) ** 0.5
        return np.hstack([unit * np.float32(factor), *linear])

    def _block_product(self, rows: FloatArray, weight: FloatArray) -> FloatArray:
        """Multiply by the weight of a layer after the first; see `BlockLinear`."""
        if self._blocks == 1:
            return _times(rows, weight)
        parts = np.split(rows, self._blocks, axis=1), np.split(weight, self._blocks)
        return np.concatenate(list(map(_times, *parts)), axis=1)


def linear_parts(
    dims: int | Sequence[int], shares: float | Sequence[float]
) -> list[tuple[int, float]]:
    """Return the dimension and the share of each linear part of a projector; see `Projector`.

    Raises:
        ValueError: there are not as many shares as dimensions.
    """
    each = [dims] if isinstance(dims, int) else dims
    share_of_each = [shares] if isinstance(shares, int | float) else shares
    pairs = zip(each, share_of_each, strict=True)
    return [(int(part), float(share)) for part, share in pairs if part]


def _linear_parts_of(settings: JSONObject) -> list[tuple[int, float]]:
    return linear_parts(settings.get("linear_dim", 0), settings.get("linear_share", 0.0))


def shapes(settings: JSONObject) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of all tensors of a projector with these settings."""
    # The slots of a posterior are not outputs of the last layer.
    slots = 2 if settings["output"].startswith("posterior") else 0
    linear = sum(part for part, _ in _linear_parts_of(settings))
    widths = [settings["in_dim"], *settings["hidden"], settings["dim"] - slots - linear]
    tensors: dict[str, tuple[int, ...]] = {
        "scaling.mean": (settings["in_dim"],),
        "scaling.scale": (),
    }
    blocks = settings.get("blocks", 1)
    for number, name in enumerate(_layer_names(settings)):
        before, after = widths[number : number + 2]
        if number:
            before //= blocks  # see `BlockLinear`
        tensors |= {f"{name}.weight": (after, before), f"{name}.bias": (after,)}
    if linear:
        tensors["linear.weight"] = (linear, settings["in_dim"])
    return tensors


def _layer_names(settings: JSONObject) -> list[str]:
    """Return the names of the linear layers, each preceded by an activation and dropout."""
    return [f"layers.{3 * number + 1}" for number in range(len(settings["hidden"]) + 1)]


def _times(rows: FloatArray, weight: FloatArray) -> FloatArray:
    """Return rows · weightᵀ."""
    # For one row, vecdot without threads is as fast and does not wait for a busy core.
    return np.vecdot(weight, rows)[np.newaxis] if len(rows) == 1 else rows @ weight.T


def _normalised(rows: FloatArray) -> FloatArray:
    """Normalise rows along the last axis; rows of zeros are not changed."""
    lengths = np.sqrt(np.square(rows).sum(axis=-1, keepdims=True))
    unit: FloatArray = rows / np.maximum(lengths, _LEAST_LENGTH)
    return unit


def _softmax(rows: FloatArray) -> FloatArray:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    posterior: FloatArray = powers / powers.sum(axis=1, keepdims=True)
    return posterior
