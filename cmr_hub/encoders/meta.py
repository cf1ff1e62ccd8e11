"""Create networks without weights, and detect missing and non-finite weights."""

from __future__ import annotations

import copy
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cmr_hub.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cmr_hub.types import FloatArray

N = TypeVar("N", bound="nn.Module")


def without_weights(network: N) -> N:
    """Return a copy whose weights are on the `meta` device, with the same settings."""
    tensors = chain(network.parameters(), network.buffers())
    return copy.deepcopy(network, {id(tensor): tensor.detach().to("meta") for tensor in tensors})


def refuse_meta_tensors(network: nn.Module, name: str) -> None:
    """Raise WeightsError if a tensor is on the `meta` device, which stores no values.

    If a network is built on `meta` and its weights are assigned, buffers that are not in the state
    dict, such as `position_ids` of transformers, stay on `meta`. The results would be wrong without
    any error.
    """
    tensors = chain(network.named_parameters(), network.named_buffers())
    empty = [key for key, tensor in tensors if tensor.is_meta]
    if empty:
        raise WeightsError(
            f"{name} is incomplete: {len(empty)} tensors have no values, for example {empty[0]}. "
            "Build the network on the CPU, or fill the buffers that are not in its state dict"
        )


def refuse_non_finite(network: nn.Module, name: str) -> None:
    """Raise WeightsError if a weight is not finite.

    Buffers may contain infinities, as attention masks do, but not NaN.
    """
    bad = [key for key, value in network.named_parameters() if not _is_finite(value)]
    bad += [key for key, value in network.named_buffers() if bool(value.isnan().any())]
    if bad:
        raise WeightsError(
            f"{name} is damaged: {len(bad)} tensors have values that are not finite numbers, "
            f"for example {bad[0]}: download or save it again"
        )


def refuse_non_finite_rows(rows: FloatArray, name: str) -> None:
    """Raise WeightsError if a network returned values that are not finite.

    Otherwise one damaged tensor would make a whole gallery useless.
    """
    if not np.isfinite(rows).all():
        raise WeightsError(
            f"{name} returned features that are not finite numbers: its weights are damaged, "
            "incomplete or do not fit this precision. Load them again, or use float32"
        )


def _is_finite(value: Tensor) -> bool:
    # The sum is cheap, and finite only if all values are.
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())
