"""ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmr_hub.encoders.backends.session import Compiled, Session
from cmr_hub.encoders.optional import optional_import

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class OnnxRuntimeSession(Session):
    """A network in ONNX Runtime. See `Session`."""

    def compiled(self, threads: int) -> Compiled:
        library = optional_import("onnxruntime", "backend onnx", "onnx")
        options = library.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Threads that wait for work would take the cores from those that decode pictures.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = library.InferenceSession(str(self.file), options, ["CPUExecutionProvider"])
        names = [one.name for one in session.get_inputs()]

        def run(batch: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
            (rows,) = session.run(None, {name: batch[name] for name in names})
            found: npt.NDArray[np.float32] = rows
            return found

        return run
