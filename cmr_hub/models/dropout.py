"""Dropout that costs little."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 256


class Dropout(nn.Module):
    """`torch.nn.Dropout`, with the random numbers drawn as bytes.

    torch draws a float for every element, which on a CPU took a fifth of a whole training step
    of two small projectors. A byte is drawn many times faster.

    Args:
        share: of the elements set to zero in training, in [0, 1), kept to the nearest 1/256; the
            others are divided by what is kept, so that the expectation is the input.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise ValueError(f"the share dropped must lie in [0, 1), not {share!r}")
        self.dropped = min(round(share * _LEVELS), _LEVELS - 1)

    def forward(self, rows: Tensor) -> Tensor:
        if not self.training or not self.dropped:
            return rows
        words = torch.empty((rows.numel() + 7) // 8, dtype=torch.int64, device=rows.device)
        words.random_(-(2**63), None)
        drawn = words.view(torch.uint8)[: rows.numel()].view(rows.shape)
        kept = (drawn >= self.dropped).to(rows.dtype)
        return rows * kept.mul_(_LEVELS / (_LEVELS - self.dropped))
