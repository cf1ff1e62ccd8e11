"""The last layers of the transformer of a sentence encoder, for fine-tuning."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from cmr_hub.errors import CMRError


def pool(states: Tensor, mask: Tensor) -> Tensor:
    """Return (B, D) unit vectors: the means of (B, T, D) states where the (B, T) mask is one."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return normalize((states * weights).sum(dim=1) / weights.sum(dim=1), dim=1)


class LastLayers(nn.Module):
    """Map token states of the frozen layers to unit vectors of sentences.

    Args:
        encoder: `model.encoder` of a BERT-style transformer, which is copied.
        layers: Number of last layers.
    """

    def __init__(self, encoder: nn.Module, layers: int) -> None:
        super().__init__()
        self.first = number_of_layers(encoder) - layers
        last: Any = copy.deepcopy(encoder)
        last.layer = last.layer[self.first :]
        self.encoder = last

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Map (M, T, D) states and the (M, T) mask, true for tokens, to (M, D)."""
        # Every implementation of attention accepts an additive mask of the logits.
        additive = torch.zeros(mask.shape, device=mask.device).masked_fill(
            ~mask, torch.finfo(states.dtype).min
        )
        output = self.encoder(states, attention_mask=additive[:, None, None, :])
        return pool(output.last_hidden_state, mask)

    def named_weights(self) -> dict[str, Tensor]:
        """Return the weights by their names in the complete model."""
        return {
            f"encoder.layer.{self.first + number}.{name}": weight.detach()
            for number, layer in enumerate(self.encoder.layer.children())
            for name, weight in layer.state_dict().items()
        }


def without_last(model: nn.Module, layers: int) -> Any:
    """Return a copy of the model whose last hidden state is the input of `LastLayers`.

    Raises:
        CMRError: The model is not BERT-style, or has fewer layers.
    """
    frozen: Any = copy.deepcopy(model)
    count = number_of_layers(getattr(frozen, "encoder", None))
    if not 0 < layers <= count:
        raise CMRError(f"the sentence encoder can be fine-tuned in its last 1 to {count} layers")
    frozen.encoder.layer = frozen.encoder.layer[: count - layers]
    return frozen.requires_grad_(False).eval()


def number_of_layers(encoder: Any) -> int:
    """Return the number of layers. Raises CMRError if the transformer is not BERT-style."""
    layers = getattr(encoder, "layer", None)
    if not isinstance(layers, nn.ModuleList):
        raise CMRError("only BERT-style sentence encoders can be fine-tuned: use another source")
    return len(layers)
