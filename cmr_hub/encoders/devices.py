"""Where a network runs: which device and backend, and in which precision."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cmr_hub.errors import CMRError, shown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PRECISIONS: Final = ("float32", "bfloat16", "float16")
_ACCELERATOR_BATCH: Final = 64
_DEVICES: Final = ("/dev/kfd", "/dev/dxg")
_INT8 = "int8"
_INT8_RECIPE: Final = 1  # a change of how networks are quantised changes what they give


@dataclass(frozen=True)
class Placement:
    """A device, a precision and a backend. The default is the reference: float32, CPU, torch.

    Attributes:
        device: as torch names it: `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: one of PRECISIONS, or `int8` with another backend than torch.
        backend: what runs the network: `torch`, `onnx` or `openvino`.
    """

    device: str = "cpu"
    precision: str = "float32"
    backend: str = "torch"

    @classmethod
    def of(cls, device: str = "cpu", precision: str | None = None) -> Placement:
        """The placement that a user asked for.

        Args:
            device: `auto` is the first accelerator that torch finds, else the CPU.
            precision: None is float32 on the CPU, and on an accelerator bfloat16 where it has
                that, else float16.

        Raises:
            CMRError: there is no such device here, or no such precision.
        """
        found = _first_device() if device == "auto" else device
        if found == "cpu" and precision in (None, "float32"):
            return cls()
        import torch

        try:
            chosen = torch.device(found)
            if chosen.type != "meta":
                torch.empty(1, device=chosen)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise CMRError(
                f"there is no device {shown(device)} here: choose one of "
                f"{', '.join(devices())}, or auto ({str(error).splitlines()[0][:120]})"
            ) from None
        if chosen.type == "meta":
            raise CMRError("the device meta holds no values; choose cpu")
        if precision is None:
            precision = "float32" if chosen.type == "cpu" else _half_precision(chosen)
        if precision not in PRECISIONS:
            raise CMRError(
                f"no precision {shown(precision)}; choose one of: {', '.join(PRECISIONS)}"
            )
        return cls(str(chosen), precision)

    @property
    def dtype(self) -> torch.dtype:
        """The precision as torch has it."""
        import torch

        found: torch.dtype = getattr(torch, self.precision)
        return found

    @property
    def is_reference(self) -> bool:
        """Whether results are equal to the bit to those of any other run on this machine."""
        return self == Placement()

    def loses_against(self, other: Placement) -> bool:
        """Whether weights in this precision lack what another one shows: read them anew."""
        return self.precision not in ("float32", other.precision)

    def marked(self, fingerprint: str) -> str:
        """The fingerprint of an encoder in this placement, of that of the reference.

        Only int8 gives another: vectors of other placements can be compared.
        """
        if self.precision != _INT8:
            return fingerprint
        facts = f"{fingerprint} {_INT8} {self.backend} {_INT8_RECIPE}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def batch_size(self, on_cpu: int) -> int:
        """How many items to give a network at a time; an accelerator wants many."""
        return on_cpu if self.device == "cpu" else max(on_cpu, _ACCELERATOR_BATCH)

    def tensor(self, values: Tensor) -> Tensor:
        """`values` on this device; those that are floating-point in this precision."""
        if self.is_reference:
            return values
        return values.to(self.device, self.dtype if values.is_floating_point() else None)


def devices() -> list[str]:
    """The devices that torch can use here."""
    import torch

    found = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    return [*found, *(["mps"] if torch.backends.mps.is_available() else [])]


def _first_device() -> str:
    if not _may_have_accelerator():
        return "cpu"
    found = devices()
    return found[1] if len(found) > 1 else found[0]


def _may_have_accelerator() -> bool:
    """Whether it is worth asking torch, whose import takes longer than many a search."""
    if "torch" in sys.modules or sys.platform != "linux":
        return True
    # The drivers of NVIDIA and AMD, and both of them in Windows' Linux.
    return any(Path("/dev").glob("nvidia[0-9]*")) or any(map(os.path.exists, _DEVICES))


def _half_precision(device: torch.device) -> str:
    import torch

    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return "bfloat16"
    return "float16"
