"""Reading network weights that come from outside: safetensors only, every tensor checked."""

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
    """The tensors of a safetensors file.

    Raises:
        WeightsError: no such file, not safetensors, or truncated.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no weights file at {path}")
    try:
        check_file(path)
        state: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is not a whole safetensors file ({error}); "
            "copy or download it again. Other formats are not read, because they can run code."
        ) from error
    return state


def check_state(network: nn.Module, state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """`state` as this network wants it: all keys, right shapes, float32, finite.

    Args:
        network: may live on the meta device.
        state: its weights by name. Batch-norm step counters may be missing.
        name: what to call the network in errors.

    Raises:
        WeightsError: naming the first tensors that are wrong.
    """
    expected = network.state_dict()
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = sorted(expected.keys() - state.keys() - counters)
    extra = sorted(state.keys() - expected.keys())
    if missing or extra:
        raise WeightsError(
            f"these are not the weights of {name}: "
            f"{len(missing)} tensors missing {missing[:3]}, {len(extra)} unknown {extra[:3]}"
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
            raise WeightsError(f"the weights of {name} are damaged: {key} is not finite numbers")
    return checked
