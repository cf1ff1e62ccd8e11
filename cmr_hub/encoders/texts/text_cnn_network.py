"""Network of the text encoder `text-cnn`."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from cmr_hub.float16 import rounded_to_half
from cmr_hub.types import FloatArray, IntArray

_NEIGHBOURS = 3
NOTHING = -1
"""Padding after the last word of a sentence."""


class TextCNN(nn.Module):
    """Map token ids of sentences to rows; see TextCNNEncoder.

    A row is the weighted mean of the word vectors, followed by the maxima of two convolutions over
    neighbouring words.

    Args:
        vectors: (V, D) float32 word vectors, which are not trained.
        idf: (V,) float32, weights of the words in the mean.
        filters: F, number of filters of each convolution.
    """

    vectors: Tensor
    idf: Tensor

    def __init__(self, vectors: FloatArray, idf: FloatArray, filters: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.from_numpy(vectors), persistent=False)
        self.register_buffer("idf", torch.from_numpy(idf), persistent=False)
        half = _NEIGHBOURS // 2
        self.near = nn.Conv1d(vectors.shape[1], filters, _NEIGHBOURS, padding=half)
        self.wide = nn.Conv1d(filters, filters, _NEIGHBOURS, padding=half)

    @classmethod
    def drawn(cls, vectors: FloatArray, idf: FloatArray, filters: int, seed: int) -> Self:
        """Return a network whose convolutions have random weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(vectors, idf, filters)

    @staticmethod
    def shapes(dim: int, filters: int) -> dict[str, tuple[int, ...]]:
        """Return names and shapes of the trained weights."""
        return {
            "near.weight": (filters, dim, _NEIGHBOURS),
            "near.bias": (filters,),
            "wide.weight": (filters, filters, _NEIGHBOURS),
            "wide.bias": (filters,),
        }

    @property
    def dim(self) -> int:
        """Length of a row: D + F."""
        return int(self.vectors.shape[1]) + self.near.out_channels

    def forward(self, ids: Tensor) -> Tensor:
        """Map (B, T) int64 token ids, padded with `NOTHING`, to (B, D + F)."""
        is_word = (ids != NOTHING).to(self.vectors.dtype)
        rows = ids.clamp_min(0)
        words = self.vectors[rows] * is_word.unsqueeze(2)
        mean = normalize((words * self.idf[rows].unsqueeze(2)).sum(1), dim=1)
        # Padding is reset to zero after each layer, so that a row does not depend on its batch.
        mask = is_word.unsqueeze(1)
        near = relu(self.near(words.transpose(1, 2))) * mask
        wide = near + relu(self.wide(near)) * mask
        return torch.cat([mean, wide.amax(2)], dim=1)

    def weights(self) -> dict[str, FloatArray]:
        """Return the trained weights by name."""
        return {name: value.detach().numpy() for name, value in self.state_dict().items()}

    def with_weights(self, weights: Mapping[str, FloatArray]) -> Self:
        """Return this network with other weights, for inference."""
        state = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in weights.items()}
        self.load_state_dict(state)
        return self.requires_grad_(False).eval()

    def rounded(self) -> Self:
        """Return a copy with weights rounded to float16 values, for inference."""
        halves = {name: rounded_to_half(value) for name, value in self.weights().items()}
        return copy.deepcopy(self).with_weights(halves)


def padded(ids: Sequence[IntArray]) -> Tensor:
    """Return (B, T) int64 token ids, padded with `NOTHING`."""
    return nn.utils.rnn.pad_sequence(
        [torch.from_numpy(row) for row in ids], batch_first=True, padding_value=NOTHING
    )
