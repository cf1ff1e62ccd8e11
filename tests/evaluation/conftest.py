"""A data folder of synthetic features, and grids over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io


@pytest.fixture
def synthetic_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`$CMR_DATA_HOME` with Wikipedia's lists and 3-d features that tell its classes a little."""
    home = tmp_path / "data"
    base = home / "wikipedia"
    base.mkdir(parents=True)
    labels = np.arange(2866) % 10
    lines = [f"{n:032x}-1\t{n + 9000:032x}\t{label + 1}\n" for n, label in enumerate(labels)]
    (base / "trainset_txt_img_cat.list").write_text("".join(lines[:2173]))
    (base / "testset_txt_img_cat.list").write_text("".join(lines[2173:]))
    (base / "categories.list").write_text("".join(f"class{n}\n" for n in range(10)))
    generator = np.random.default_rng(0)

    def features() -> np.ndarray:
        return generator.normal(size=(10, 3))[labels] + 0.3 * generator.normal(size=(2866, 3))

    images, texts = features(), features()
    scipy.io.savemat(
        base / "raw_features.mat",
        {"I_tr": images[:2173], "I_te": images[2173:], "T_tr": texts[:2173], "T_te": texts[2173:]},
    )
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
