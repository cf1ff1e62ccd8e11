"""Hubness: pictures that rank high for any query, and scores that reduce this.

    python benchmarks/hubs.py train mobilenet_v2.safetensors runs/hubs
    python benchmarks/hubs.py runs/hubs

The first command trains MobileNetV2 and the sentence encoder with the preset `infonce` on all but a
thousand training pictures of Flickr8k (in $CMR_DATA_HOME). The second evaluates a model on this
thousand: Recall@1 and @10 of the own picture by each sentence; and the hubness of first pages of
ten for the 1,008 neutral sentences (`cmr_hub.gallery.neutral`), which belong to no picture: the
skewness of the number of pages that contain a picture (Radovanovic et al. 2010, JMLR 11), its
maximum, and the share of pictures on no page.

These scores are compared with the plain cosine s(q, v):

- mean a: s - a times the mean score of v with the neutral sentences;
- z: s in standard deviations above that mean;
- csls a: s - a times the mean of the ten highest of these scores (Lample et al. 2018);
- inverted softmax b: s - log of the sum of exp(b s) over them, / b (Bogolin et al. 2022), with the
  best b.

The thousand pictures are drawn with seed 0. Writes `results/hubs.json`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmr_hub import load
from cmr_hub.atomic import atomic_file
from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.experiments.methods import get_method
from cmr_hub.experiments.run import run_experiment
from cmr_hub.gallery.neutral import neutral_sentences

HELD, PAGE = 1000, 10
OUT = Path("results/hubs.json")
Rows = npt.NDArray[np.float64]


def pictures() -> PairDataset:
    """Return the training pictures, with a thousand of them as the test split."""
    dataset = load_dataset("flickr8k")
    dataset = dataset.subset(dataset.splits == "train")
    splits = np.full(len(dataset), "train", dtype="<U5")
    splits[np.random.default_rng(0).permutation(len(dataset))[:HELD]] = "test"
    return replace(dataset, protocol=f"train-{HELD}", splits=splits)


def train(weights: str, out: str) -> None:
    """Train the model of the first command above."""
    experiment = run_experiment(
        pictures(),
        get_method("infonce"),
        0,
        image_encoder=image_encoder("mobilenet_v2", weights),
        text_encoder=text_encoder("sentence"),
        progress=True,
    )
    assert experiment.model is not None
    experiment.model.save_pretrained(out)


def row(scores: Rows, neutral: Rows, own: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return the figures of a score.

    Args:
        scores: (Q, N) scores of sentences with all pictures.
        neutral: (M, N) scores of neutral sentences.
        own: (Q,) picture of each sentence.
    """
    ranks = (scores > scores[np.arange(len(own)), own][:, None]).sum(axis=1)
    first = np.argsort(-neutral, axis=1, kind="stable")[:, :PAGE]
    pages = np.bincount(first.ravel(), minlength=neutral.shape[1]).astype(float)
    figures = {
        "recall_1": (ranks < 1).mean(),
        "recall_10": (ranks < 10).mean(),
        "skewness": ((pages - pages.mean()) ** 3).mean() / pages.std() ** 3,
        "most_pages": pages.max(),
        "on_no_page": (pages == 0).mean(),
    }
    return {name: round(float(value), 4) for name, value in figures.items()}


def measure(name: str) -> None:
    """Write the report."""
    model = load(name)
    dataset = pictures().split("test")
    rows = model.image.encode(
        [path for path in dataset.images if path is not None], cache=FeatureCache(), progress=True
    ).astype(np.float64)
    said = [
        (text, place)
        for place, sentences in enumerate(dataset.sentences)
        for text in sentences
        if model.text.knows((text,))
    ]
    known = [text for text in neutral_sentences() if model.text.knows((text,))]
    scores, neutral = (
        model.encode_texts(texts).astype(np.float64) @ rows.T
        for texts in ([text for text, _ in said], known)
    )
    own = np.array([place for _, place in said])
    mean, spread = neutral.mean(axis=0), neutral.std(axis=0)
    top = np.sort(neutral, axis=0)[-10:].mean(axis=0)
    ways = {"cosine": (0.0, 1.0)}
    ways |= {f"mean {share}": (share * mean, 1.0) for share in (0.1, 0.2, 0.3, 0.5, 1.0)}
    ways["z"] = (mean, spread)
    ways |= {f"csls {share}": (share * top, 1.0) for share in (0.25, 0.5, 1.0)}
    ways |= {
        f"inverted softmax {beta}": (np.log(np.exp(beta * neutral).sum(axis=0)) / beta, 1.0)
        for beta in (10, 20, 40)
    }
    found = {
        title: row((scores - less) / by, (neutral - less) / by, own)
        for title, (less, by) in ways.items()
    }
    for title, figures in found.items():
        print(title, *figures.values(), sep="\t")
    report = {
        "model": Path(name).name,
        "pictures": len(rows),
        "sentences": len(said),
        "neutral_sentences": len(known),
        "ways": found,
    }
    with atomic_file(OUT) as file:
        file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(*sys.argv[2:])
    else:
        measure(sys.argv[1])
