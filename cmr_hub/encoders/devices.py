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
            device: `auto` is the first accelerator that torch finds, otherwise the CPU.
            precision: None is float32 on the CPU. On an accelerator it is bfloat16 if that is
                supported, otherwise float16.

        Raises:
            CMRError: The device or the precision does not exist.
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
                f"no precision {shown(precision)}; choose one of: "
                f"{known_names(precision, PRECISIONS)}"
            )
        return cls(str(chosen), precision)

    @property
    def dtype(self) -> torch.dtype:
        """The precision as a torch dtype."""
        import torch

        found: torch.dtype = getattr(torch, self.precision)
        return found

    @property
    def is_reference(self) -> bool:
        """Whether results equal those of any other run on this machine bit for bit."""
        return self == Placement()

    def loses_against(self, other: Placement) -> bool:
        """Return whether weights in this precision must be reloaded for another one."""
        return self.precision not in ("float32", other.precision)

    def marked(self, fingerprint: str) -> str:
        """Return the fingerprint of an encoder in this placement, given that of the reference.

        It differs for int8 only: vectors of all other placements are comparable.
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

    found = ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    return [*found, *(["mps"] if torch.backends.mps.is_available() else [])]


def _first_device() -> str:
    if not _may_have_accelerator():
        return "cpu"
    found = devices()
    return found[1] if len(found) > 1 else found[0]


def _may_have_accelerator() -> bool:
    """Return whether to ask torch, which takes longer to import than many searches take."""
    if "torch" in sys.modules or sys.platform != "linux":
        return True
    # Drivers of NVIDIA and AMD, and of either in WSL.
    return any(Path("/dev").glob("nvidia[0-9]*")) or any(map(os.path.exists, _DEVICES))


def _half_precision(device: torch.device) -> str:
    import torch

    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return "bfloat16"
    return "float16"
