"""Weights of torchvision, which torchvision downloads into its own cache."""

from __future__ import annotations

from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cmr_hub.atomic import storing
from cmr_hub.downloads import HOW_TO_ALLOW, downloads_allowed
from cmr_hub.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


def download_weights(weights: Any) -> tuple[Mapping[str, Tensor], str]:
    """Download the weights of a member of a torchvision weights enum.

    torchvision publishes .pth files. Their hash is checked, and only tensors are unpickled
    (`weights_only`).

    Returns:
        The state dict, and the source name `torchvision:<enum>.<member>`.

    Raises:
        WeightsError: There is no network, or the download is damaged.
        StorageError: The disk is full, or torch's cache (TORCH_HOME) is read-only.
    """
    import torch

    if not downloads_allowed():
        cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(weights.url).path).name
        if not cached.is_file():
            raise WeightsError(
                f"{weights} is needed and not on this machine. It was named by a file, not by "
                f"you, so it is not downloaded: {HOW_TO_ALLOW}"
            )
    try:
        with storing(torch.hub.get_dir()):
            state = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (OSError, HTTPException, EOFError, UnpicklingError, RuntimeError) as error:
        raise WeightsError(
            f"could not download {weights} from {weights.url} ({error}): connect to the network, "
            "or pass a local safetensors file with the key names of torchvision "
            "(--image-weights FILE)"
        ) from error
    return state, f"torchvision:{weights}"
