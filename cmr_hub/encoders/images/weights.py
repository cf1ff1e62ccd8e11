"""Read external network weights: safetensors only, with every tensor checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from cmr_hub.errors import WeightsError
from cmr_hub.outside import check_file

if TYPE_CHECKING:
    from torch import Tensor, nn


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        WeightsError: The file does not exist, is not safetensors, or is truncated.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}")
    try:
        check_file(path)
        state: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a valid safetensors file ({error}): "
            "copy or download it again. Other formats are not read, because they can run code"
        ) from error
    return state


def check_state(network: nn.Module, state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return `state` as the network needs it: all keys, correct shapes, float32, finite.

    Args:
        network: The network, which may be on the meta device.
        state: Weights by name. Step counters of batch norms may be missing.
        name: Name of the network in error messages.

    Raises:
        WeightsError: Some tensors do not match; the message names the first ones.
    """
    expected = network.state_dict()
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = sorted(expected.keys() - state.keys() - counters)
    extra = sorted(state.keys() - expected.keys())
    if missing or extra:
        raise WeightsError(
            f"these are not the weights of {name}: "
            f"{len(missing)} missing tensors {missing[:3]}, {len(extra)} unknown ones {extra[:3]}"
        )
    checked: dict[str, Tensor] = {}
    for key, blueprint in expected.items():
        if key in counters:
            checked[key] = torch.zeros((), dtype=torch.int64)
            continue
        value = state[key]
        if value.shape != blueprint.shape:
            raise WeightsError(
                f"these are not the weights of {name}: {key} has shape {tuple(value.shape)}, "
                f"expected {tuple(blueprint.shape)}"
            )
        if value.is_floating_point():
            checked[key] = value.detach().to("cpu", torch.float32).contiguous()
        if key not in checked or not torch.isfinite(checked[key]).all():
            raise WeightsError(
                f"the weights of {name} are damaged: {key} has values that are not finite numbers"
            )
    return checked
