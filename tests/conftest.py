"""Fixtures shared by all tests: where the data is, and one thread a process."""

from __future__ import annotations

import os
from pathlib import Path

# Set before torch, OpenMP or BLAS start: the tests already run side by side, a process a core.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
# Tests change directory; a relative path must go on meaning the same place.
if os.environ.get("CMR_DATA_HOME"):
    os.environ["CMR_DATA_HOME"] = str(Path(os.environ["CMR_DATA_HOME"]).resolve())

import pytest


@pytest.fixture(scope="session")
def data_home() -> Path:
    """The folder of datasets. Without it the test skips; set but wrong, it fails."""
    value = os.environ.get("CMR_DATA_HOME")
    if not value:
        pytest.skip("needs real data: set CMR_DATA_HOME to the folder of datasets")
    home = Path(value)
    assert home.is_dir(), f"CMR_DATA_HOME is set to {home}, which is not a folder"
    return home


@pytest.fixture(scope="session")
def mobilenet_weights(data_home: Path) -> Path:
    """MobileNetV2's ImageNet weights, kept in `weights/` beside the data folder."""
    path = data_home.parent / "weights" / "mobilenet_v2_imagenet.safetensors"
    assert path.is_file(), f"with CMR_DATA_HOME set the tests need {path}"
    return path
