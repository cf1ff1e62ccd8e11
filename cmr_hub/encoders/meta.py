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
    return copy.deepcopy(network, {id(one): one.detach().to("meta") for one in tensors})


def refuse_meta_tensors(network: nn.Module, name: str) -> None:
    """Raise WeightsError if a tensor is on the `meta` device, which stores no values.

    A buffer that is not in the state dict, such as `position_ids` of transformers' networks, stays
    there when a network is built on `meta` and its weights are assigned. The network's results
    would be silently wrong.
    """
    there = chain(network.named_parameters(), network.named_buffers())
    empty = [key for key, tensor in there if tensor.is_meta]
    if empty:
        raise WeightsError(
            f"{name} is incomplete: {len(empty)} tensors have no values, e.g. {empty[0]}. Build "
            "the network on the CPU, or fill the buffers that are not in its state dict"
        )


def refuse_non_finite(network: nn.Module, name: str) -> None:
    """Raise WeightsError if a weight is not finite.

    Buffers may contain infinities, as attention masks do, but not NaN.
    """
    bad = [key for key, value in network.named_parameters() if not _is_finite(value)]
    bad += [key for key, value in network.named_buffers() if bool(value.isnan().any())]
    if bad:
        raise WeightsError(
            f"{name} is damaged: {len(bad)} tensors hold values that are not finite numbers, "
            f"e.g. {bad[0]}; fetch or save it again"
        )


def refuse_non_finite_rows(rows: FloatArray, name: str) -> None:
    """Raise WeightsError if a network returned values that are not finite.

    Otherwise one damaged tensor would make a gallery in which nothing is found.
    """
    if not np.isfinite(rows).all():
        raise WeightsError(
            f"{name} gives features that are not finite numbers: its weights are "
            "damaged, incomplete or do not fit this precision; load them again"
        )


def _is_finite(value: Tensor) -> bool:
    # The sum is nearly free, and finite only if all values are.
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())
