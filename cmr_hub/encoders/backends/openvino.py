"""OpenVINO on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cmr_hub.encoders.backends.session import Compiled, Session
from cmr_hub.encoders.optional import optional_import

if TYPE_CHECKING:
    from cmr_hub.types import Arrays, FloatArray

_GROUP: Final = 64


class OpenVinoSession(Session):
    """A network in OpenVINO. See `Session`."""

    @staticmethod
    def require() -> None:
        _library()

    def compiled(self, threads: int) -> Compiled:
        library = _library()
        settings = {
            # The default is bfloat16 if the processor supports it.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": self.most,
            # With 8-bit weights, activations are quantised too, in groups of this size.
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP,
            # A stream for each calling thread, or one stream with all threads.
            "NUM_STREAMS": self.most if threads == 1 else 1,
        }
        core = library.Core()
        network = core.compile_model(core.read_model(str(self.file)), "CPU", settings)
        names = {name: port for port in network.inputs for name in port.get_names()}

        def run(batch: Arrays) -> FloatArray:
            inputs = {port: batch[name] for name, port in names.items() if name in batch}
            rows: FloatArray = network.create_infer_request().infer(inputs)[0].copy()
            return rows

        return run


def _library() -> Any:
    return optional_import("openvino", "backend openvino", "openvino")
