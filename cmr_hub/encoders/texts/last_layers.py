"""The last layers of a sentence encoder's transformer, for fine-tuning."""

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
        encoder: `model.encoder` of a BERT-style transformer; copied.
        layers: Number of last layers to keep.
    """

    def __init__(self, encoder: nn.Module, layers: int) -> None:
        super().__init__()
        self.first = number_of_layers(encoder) - layers
        kept: Any = copy.deepcopy(encoder)
        kept.layer = kept.layer[self.first :]
        self.encoder = kept

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Map (M, T, D) states and the (M, T) mask, true for tokens, to (M, D)."""
        # An additive mask of the logits: every implementation of attention accepts it.
        hidden = torch.zeros(mask.shape, device=mask.device).masked_fill(
            ~mask, torch.finfo(states.dtype).min
        )
        found = self.encoder(states, attention_mask=hidden[:, None, None, :])
        return pool(found.last_hidden_state, mask)

    def named_weights(self) -> dict[str, Tensor]:
        """Return the weights under their names in the complete model."""
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
    there = number_of_layers(getattr(frozen, "encoder", None))
    if not 0 < layers <= there:
        raise CMRError(f"the sentence encoder can be fine-tuned in its last 1 to {there} layers")
    frozen.encoder.layer = frozen.encoder.layer[: there - layers]
    return frozen.requires_grad_(False).eval()


def number_of_layers(encoder: Any) -> int:
    """Return the number of layers. Raises CMRError if the transformer is not BERT-style."""
    found = getattr(encoder, "layer", None)
    if not isinstance(found, nn.ModuleList):
        raise CMRError("only sentence encoders in BERT's manner can be fine-tuned")
    return len(found)
