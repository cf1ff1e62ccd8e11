"""ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cmr_hub.encoders.backends.session import Compiled, Session
from cmr_hub.encoders.optional import optional_import

if TYPE_CHECKING:
    from cmr_hub.types import Arrays, FloatArray

_CPU: Final = ["CPUExecutionProvider"]
_SPIN: Final = "50"  # microseconds; releases without this setting ignore it
_LARGE: Final = 1024  # bytes; larger tensors go to a second file, which is memory-mapped


class OnnxRuntimeSession(Session):
    """A network in ONNX Runtime. See `Session`."""

    @staticmethod
    def require() -> None:
        _library()

    def compiled(self, threads: int) -> Compiled:
        library = _library()
        options = _options(library)
        options.intra_op_num_threads = threads
        # Spinning within a batch makes a single batch a fifth faster. Spinning after a batch, or
        # for long, would take cores from the threads that decode pictures.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("session.intra_op.spin_duration_us", _SPIN)
        session = library.InferenceSession(str(self.file), options, _CPU)
        names = [tensor.name for tensor in session.get_inputs()]

        def run(batch: Arrays) -> FloatArray:
            rows: FloatArray = session.run(None, {name: batch[name] for name in names})[0]
            return rows

        return run


def simplify(file: Path, target: Path) -> None:
    """Write an equivalent network with fewer nodes, which loads in half the time.

    The basic optimisations, which ONNX Runtime would repeat at every load, are applied once. The
    nodes remain standard ONNX; optimisations for the processor are applied at loading.
    """
    library = _library()
    options = _options(library)
    options.graph_optimization_level = library.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    for name, value in (("file_name", f"{target.name}.data"), ("min_size_in_bytes", str(_LARGE))):
        options.add_session_config_entry(
            f"session.optimized_model_external_initializers_{name}", value
        )
    library.InferenceSession(str(file), options, _CPU)


def _options(library: Any) -> Any:
    options = library.SessionOptions()
    options.log_severity_level = 3
    return options


def _library() -> Any:
    return optional_import("onnxruntime", "backend onnx")
