"""Fine-tune the last layers of the sentence encoder together with the projectors."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from cmr_hub.errors import TrainingError

if TYPE_CHECKING:
    from cmr_hub.encoders.texts.last_layers import LastLayers
    from cmr_hub.types import JSONObject

_CHUNK = 64  # sentences per pass, sorted by length to save padding
_DOCUMENTS = 64  # batch size without gradients


@dataclass(frozen=True)
class TextFineTuning:
    """Options for fine-tuning the sentence encoder.

    Args:
        layers: number of last transformer layers to train.
        learning_rate: AdamW learning rate of these layers; the projectors use the preset's.
    """

    layers: int
    learning_rate: float = 2e-4

    def __post_init__(self) -> None:
        if self.layers < 1 or not self.learning_rate > 0:
            raise TrainingError(
                "fine-tuning texts needs at least one layer and a learning rate above 0, not "
                f"{self.layers} and {self.learning_rate}"
            )

    def as_dict(self) -> JSONObject:
        """Return JSON values for records."""
        return asdict(self)


class TextTail(nn.Module):
    """The last layers of a sentence encoder, which map token states of the others to features.

    The layers stay in evaluation mode: every step samples the sentences of a document, and
    dropout in addition only costs time.

    Args:
        layers: layers from `SentenceEncoder.last_layers`; they are copied.
        learning_rate: learning rate of these layers.
    """

    def __init__(self, layers: LastLayers, learning_rate: float) -> None:
        super().__init__()
        self.layers = copy.deepcopy(layers).eval()
        self.learning_rate = learning_rate

    def train(self, mode: bool = True) -> TextTail:
        return super().train(False)

    def forward(self, states: Tensor, chosen: Tensor) -> Tensor:
        """Map token states to features, as `SentenceEncoder.transform` does.

        Args:
            states: (B, S, T, D) float16, zero for padding.
            chosen: (B, S) mask of the sentences to use.

        Returns:
            (B, D) float32 features.
        """
        document, sentence = chosen.nonzero(as_tuple=True)
        tokens = states[document, sentence].any(-1)
        lengths = tokens.sum(-1)
        rows = torch.zeros(len(states), states.shape[-1], device=states.device)
        for batch in lengths.argsort(stable=True).split(_CHUNK):
            if len(batch):
                longest = int(lengths[batch].max())
                inputs = states[document[batch], sentence[batch], :longest].float()
                vectors = self.layers(inputs, tokens[batch, :longest])
                rows = rows.index_add(0, document[batch], vectors)
        return normalize(rows, dim=1)

    def draw(self, states: Tensor) -> Tensor:
        """Map (B, S, T, D) states to (B, D) features of a random subset of sentences per document.

        The number of sentences is uniform between 1 and all.
        """
        exists = _sentences(states)
        order = (
            torch.rand(exists.shape, device=exists.device)
            .masked_fill(~exists, 2.0)
            .argsort(1)
            .argsort(1)
        )
        counts = ((1 - torch.rand(len(exists), device=exists.device)) * exists.sum(1)).ceil()
        features: Tensor = self(states, exists & (order < counts[:, None]))
        return features

    @torch.no_grad()
    def plain(self, states: Tensor) -> Tensor:
        """Map (N, S, T, D) states to (N, D) features of all sentences of each document."""
        return torch.cat([self(chunk, _sentences(chunk)) for chunk in states.split(_DOCUMENTS)])


def _sentences(states: Tensor) -> Tensor:
    """Return the (B, S) mask of existing sentences: the state of their first token is not zero."""
    return states[:, :, 0].any(-1)
