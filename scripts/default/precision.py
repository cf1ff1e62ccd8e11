"""bfloat16 where the processor computes in it."""

from __future__ import annotations

import torch


def low_precision() -> torch.autocast:
    """A context in which convolutions and matrix products take bfloat16, if that is faster here.

    With AVX-512 BF16 or AMX a step of training takes about half the time; elsewhere bfloat16 is
    emulated and slow, and nothing changes.
    """
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast("cpu", torch.bfloat16, enabled=native)
