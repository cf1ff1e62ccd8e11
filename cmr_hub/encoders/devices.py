"""Device, backend and precision of a network."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cmr_hub.errors import CMRError, known_names, shown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PRECISIONS: Final = ("float32", "bfloat16", "float16")
_ACCELERATOR_BATCH: Final = 64
_DEVICES: Final = ("/dev/kfd", "/dev/dxg")
_INT8 = "int8"
_INT8_RECIPE: Final = 1  # increment it if a change of the quantisation changes features


@dataclass(frozen=True)
class Placement:
    """A device, a precision and a backend. The default is the reference: float32, CPU, torch.

    Attributes:
        device: Name of torch's device: `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: One of PRECISIONS, or `int8` with another backend than torch.
        backend: `torch`, `onnx` or `openvino`.
    """

    device: str = "cpu"
    precision: str = "float32"
    backend: str = "torch"

    @classmethod
    def of(cls, device: str = "cpu", precision: str | None = None) -> Placement:
        """Return the placement for a device and a precision, after checking them.

        Args:
            device: Name of the device; `auto` selects the first accelerator, otherwise the CPU.
            precision: Default: float32 on the CPU; on an accelerator bfloat16 if supported,
                otherwise float16.

        Raises:
            CMRError: The device or the precision does not exist.
        """
        name = _first_device() if device == "auto" else device
        if name == "cpu" and precision in (None, "float32"):
            return cls()
        import torch

        try:
            chosen = torch.device(name)
            if chosen.type != "meta":
                torch.empty(1, device=chosen)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            raise CMRError(
                f"the device {shown(device)} is not available: choose one of "
                f"{', '.join(devices())}, or auto ({str(error).splitlines()[0][:120]})"
            ) from None
        if chosen.type == "meta":
            raise CMRError("the device meta stores no values: choose cpu")
        if precision is None:
            precision = "float32" if chosen.type == "cpu" else _half_precision(chosen)
        if precision not in PRECISIONS:
            raise CMRError(
                f"the precision {shown(precision)} does not exist: choose one of "
                f"{known_names(precision, PRECISIONS)}"
            )
        return cls(str(chosen), precision)

    @property
    def dtype(self) -> torch.dtype:
        """The precision as a torch dtype."""
        import torch

        dtype: torch.dtype = getattr(torch, self.precision)
        return dtype

    @property
    def is_reference(self) -> bool:
        """Whether results are bit-identical between runs on the same machine."""
        return self == Placement()

    def loses_against(self, other: Placement) -> bool:
        """Return whether weights in this precision must be reloaded for another one."""
        return self.precision not in ("float32", other.precision)

    def marked(self, fingerprint: str) -> str:
        """Return the fingerprint in this placement of an encoder with this reference fingerprint.

        Only int8 changes it, because vectors of all other placements are comparable.
        """
        if self.precision != _INT8:
            return fingerprint
        facts = f"{fingerprint} {_INT8} {self.backend} {_INT8_RECIPE}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def batch_size(self, on_cpu: int) -> int:
        """Return the batch size of a network; accelerators need larger batches."""
        return on_cpu if self.device == "cpu" else max(on_cpu, _ACCELERATOR_BATCH)

    def tensor(self, values: Tensor) -> Tensor:
        """Return `values` on this device; floating-point values in this precision."""
        if self.is_reference:
            return values
        return values.to(self.device, self.dtype if values.is_floating_point() else None)


def devices() -> list[str]:
    """Return the devices that torch can use."""
    import torch

    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def _first_device() -> str:
    names = devices() if _may_have_accelerator() else ["cpu"]
    return names[1] if len(names) > 1 else "cpu"


def _may_have_accelerator() -> bool:
    """Return False if there is certainly no accelerator, because importing torch takes seconds."""
    if "torch" in sys.modules or sys.platform != "linux":
        return True
    # Device files of NVIDIA, AMD, and both in WSL.
    return any(Path("/dev").glob("nvidia[0-9]*")) or any(map(os.path.exists, _DEVICES))


def _half_precision(device: torch.device) -> str:
    import torch

    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return "bfloat16"
    return "float16"
