"""A data folder of synthetic features, and grids over it."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_study import write_wikipedia


@pytest.fixture
def synthetic_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`$CMR_DATA_HOME` with Wikipedia's lists and 3-d features that tell its classes a little."""
    home = tmp_path / "data"
    write_wikipedia(home / "wikipedia")
    monkeypatch.setenv("CMR_DATA_HOME", str(home))
    return home


@pytest.fixture
def small_grid(tmp_path: Path) -> Path:
    """A grid of three rows in two tables over the synthetic features; one row is in both."""
    path = tmp_path / "grid.toml"
    path.write_text("""
name = "small"
title = "Small"
seeds = [0, 1]

[defaults]
dataset = { name = "wikipedia-features", text = "lda" }
protocol = "2173/231/462"
image_encoder = "precomputed"
text_encoder = "precomputed"
[defaults.method]
name = "acmr-paper"
epochs = 2
batch_size = 512
image_hidden = [8]
text_hidden = [8]
dim = 4

[[tables]]
id = "methods"
title = "Methods"
reference = "small net"
rows = [
    { label = "small net", published = ["study-2019"] },
    { label = "chance", method = "random" },
]

[[tables]]
id = "losses"
title = "Losses"
reference = "all"
rows = [
    { label = "all" },
    { label = "label", method = { name = "acmr-paper", epochs = 1, objective = { label = {} } } },
]
""")
    return path
