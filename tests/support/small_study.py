"""A grid of two rows and the features for its runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

GRID = """
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
epochs = 1
batch_size = 512
image_hidden = [8]
text_hidden = [8]
dim = 4

[[tables]]
id = "t"
title = "T"
reference = "net"
rows = [
    { label = "net" },
    { label = "chance", method = "random" },
]
"""


def write_wikipedia(base: Path) -> None:
    """Write Wikipedia's lists and 3-d features that partly separate the classes."""
    base.mkdir(parents=True)
    labels = np.arange(2866) % 10
    lines = [f"{n:032x}-1\t{n + 9000:032x}\t{label + 1}\n" for n, label in enumerate(labels)]
    (base / "trainset_txt_img_cat.list").write_text("".join(lines[:2173]))
    (base / "testset_txt_img_cat.list").write_text("".join(lines[2173:]))
    (base / "categories.list").write_text("".join(f"class{n}\n" for n in range(10)))
    generator = np.random.default_rng(0)
    images, texts = (
        generator.normal(size=(10, 3))[labels] + 0.3 * generator.normal(size=(2866, 3))
        for _ in range(2)
    )
    scipy.io.savemat(
        base / "raw_features.mat",
        {"I_tr": images[:2173], "I_te": images[2173:], "T_tr": texts[:2173], "T_te": texts[2173:]},
    )
