"""Limits of the size of the networks that the settings of pretrained encoders define.

The libraries build the network of `config.json` before they read its weights. Twenty thousand
layers take a minute, and a vocabulary of a billion words takes all memory. Networks with missing
weights are refused, so no valid network is larger than its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cmr_hub.errors import ModelFormatError

_LAYERS: Final = re.compile(
    r"((num|n)_([a-z_]+_)?(layers?|blocks|groups|stages)|layers|depths?|encoder_layers|"
    r"decoder_layers|num_layers_\w+)"
)
_SIZES: Final = re.compile(
    r"([a-z_]*_)?(size|sizes|dim|dims|channels|width|embeddings|heads|positions|ratio)|"
    r"d_model|d_ff|d_kv|n_embd|n_inner|n_head|n_ctx"
)
_ROWS: Final = re.compile(
    r"(type_)?vocab_size|max_position_embeddings|n_positions|n_ctx|context_length|"
    r"intermediate_size|(num|n)_([a-z]+_)?experts|n_inner|d_ff|(encoder|decoder)_ffn_dim"
)
_HIDDEN: Final = ("hidden_size", "d_model", "n_embd", "dim", "width", "embedding_size")
_SIDES: Final = ("height", "width", "shortest_edge", "size", "crop_size")
_MOST_LAYERS: Final = 1_000
_FEW_LAYERS: Final = 100
"""Number of layers that is always allowed, because layers may share weights."""
_FEW_NUMBERS: Final = 2**26
"""Number of values (256 MB) always allowed for a table, because it may be computed."""
_SMALL: Final = 2**20
_LONGEST_SIDE: Final = 8_192
"""Maximum side of the input of a network, in pixels."""


def refuse_sizes(content: Any, weights: int, tensors: int, where: str) -> None:
    """Compare the settings of a network with its files.

    Args:
        content: Content of `config.json` or a similar file.
        weights: Number of bytes of all weights files.
        tensors: Number of tensors in the weights files.
        where: Name of the settings file in error messages.

    Raises:
        ModelFormatError: The network would have more layers or larger tables than its files.
    """
    for settings in objects(content):
        hidden = max((_number(settings.get(key)) for key in _HIDDEN), default=0)
        for key, value in settings.items():
            for number in _numbers(value):
                most: float = float("inf")
                if _LAYERS.fullmatch(key):
                    most = min(max(tensors, _FEW_LAYERS), _MOST_LAYERS)
                elif key == "image_size":
                    most = _LONGEST_SIDE
                elif _ROWS.fullmatch(key):
                    most = max(weights, _FEW_NUMBERS) // max(hidden, 1)
                elif _SIZES.fullmatch(key):
                    most = max(weights, _SMALL)
                if number > most:
                    raise ModelFormatError(
                        f"{where} sets {key} = {_shown(number)}, more than its files can contain "
                        f"({weights:,} bytes in {tensors:,} tensors): choose another encoder"
                    )


def refuse_sides(content: Any, where: str) -> None:
    """Raise ModelFormatError if settings of a processor define a huge input."""
    for settings in objects(content):
        # With a longest edge these are numbers of pixels, or are limited by it.
        if "longest_edge" in settings or "max_pixels" in settings:
            continue
        for key in _SIDES:
            for number in _numbers(settings.get(key)):
                if number > _LONGEST_SIDE:
                    raise ModelFormatError(
                        f"{where} sets {key} = {_shown(number)} for pictures; the limit is "
                        f"{_LONGEST_SIDE:,}"
                    )


def objects(content: Any) -> Iterator[Mapping[str, Any]]:
    """Yield all objects in JSON content, at any depth."""
    values = [content]
    while values:
        value = values.pop()
        if isinstance(value, dict):
            yield value
            values += value.values()
        elif isinstance(value, list):
            values += value


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    return [n for n in values if isinstance(n, int | float) and not isinstance(n, bool)]


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _shown(number: float) -> str:
    return f"{number:,}"[:40]
