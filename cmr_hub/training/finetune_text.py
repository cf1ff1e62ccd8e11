"""Fine-tuning texts: the last layers of the sentence encoder are trained with the projectors."""

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

_CHUNK = 64  # sentences of about one length through the layers at a time: little is padding
_DOCUMENTS = 64  # documents at a time, where no gradient is wanted


@dataclass(frozen=True)
class TextFineTuning:
    """How the sentence encoder is fine-tuned.

    Args:
        layers: how many of its transformer's last layers learn.
        learning_rate: of AdamW, for these layers; the projectors keep the preset's.
    """

    layers: int
    learning_rate: float = 2e-4

    def __post_init__(self) -> None:
        if self.layers < 1 or not self.learning_rate > 0:
            raise TrainingError(
                "fine-tuning texts wants at least one layer and a learning rate above 0, not "
                f"{self.layers} and {self.learning_rate}"
            )

    def as_dict(self) -> JSONObject:
        """Plain JSON values, for records."""
        return asdict(self)


class TextTail(nn.Module):
    """The last layers of a sentence encoder: token states of the frozen ones → features.

    Always in evaluation mode, training or not: a document's sentences are drawn anew in every
    step, and dropout beside that would only cost time.

    Args:
        layers: from `SentenceEncoder.last_layers`; copied.
        learning_rate: of these layers.
    """

    def __init__(self, layers: LastLayers, learning_rate: float) -> None:
        super().__init__()
        self.layers = copy.deepcopy(layers).eval()
        self.learning_rate = learning_rate

    def train(self, mode: bool = True) -> TextTail:
        return super().train(False)

    def forward(self, states: Tensor, chosen: Tensor) -> Tensor:
        """(B, S, T, D) float16 states, zero where there is none, and the (B, S) mask of the
        sentences to take → (B, D) float32 features, as `SentenceEncoder.transform`."""
        document, sentence = chosen.nonzero(as_tuple=True)
        tokens = states[document, sentence].any(-1)
        lengths = tokens.sum(-1)
        rows = torch.zeros(len(states), states.shape[-1], device=states.device)
        for few in lengths.argsort(stable=True).split(_CHUNK):
            if len(few):
                longest = int(lengths[few].max())
                inputs = states[document[few], sentence[few], :longest].float()
                vectors = self.layers(inputs, tokens[few, :longest])
                rows = rows.index_add(0, document[few], vectors)
        return normalize(rows, dim=1)

    def draw(self, states: Tensor) -> Tensor:
        """(B, S, T, D) states → (B, D) features of a random part of each document's sentences.

        At least one sentence; every number of sentences is as likely as any other.
        """
        there = _sentences(states)
        place = (
            torch.rand(there.shape, device=there.device)
            .masked_fill(~there, 2.0)
            .argsort(1)
            .argsort(1)
        )
        wanted = ((1 - torch.rand(len(there), device=there.device)) * there.sum(1)).ceil()
        features: Tensor = self(states, there & (place < wanted[:, None]))
        return features

    @torch.no_grad()
    def plain(self, states: Tensor) -> Tensor:
        """(N, S, T, D) states → (N, D) features of all sentences of each document."""
        return torch.cat([self(chunk, _sentences(chunk)) for chunk in states.split(_DOCUMENTS)])


def _sentences(states: Tensor) -> Tensor:
    """(B, S): where there is a sentence. Its first token's state is never zero."""
    return states[:, :, 0].any(-1)
