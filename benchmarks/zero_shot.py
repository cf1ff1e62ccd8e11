"""Choice of the scale of cosines before the softmax of zero-shot classification.

Models are trained on other pictures than those that they classify. For each scale, the likelihood
of the correct classes and the calibration of the probabilities are computed. Only training pictures
of each dataset are used.

    CMR_DATA_HOME=DIR python benchmarks/zero_shot.py mobilenet_v2.safetensors

- Trained on four fifths of Pascal Sentence's 800 training pictures, with 7 presets; the other fifth
  is classified.
- Trained on Flickr8k, which has no classes, with `infonce` and with the temperature and the network
  of `sketch`; all 800 are classified.
- The bundled release was trained on the 800 pictures, so it is not part of the mean.

Writes results/zero-shot.json.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmr_hub import load
from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.experiments.run import run_experiment
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.zero_shot import DEFAULT_LOGIT_SCALE, class_probabilities, class_vectors
from cmr_hub.training.presets import PRESETS, Preset

SCALES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 70, 100)
OF_PASCAL = ("acmr-paper", "infonce", "supcon", "normsoftmax", "dscmr", "cmr-best", "mrl")
WORDS = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "tvmonitor": "tv monitor",
}
"""Names of classes that do not occur in captions."""
BINS = 15
RESULTS = Path(__file__).parents[1] / "results" / "zero-shot.json"


def main() -> None:
    encoder = image_encoder("mobilenet_v2", Path(sys.argv[1]))
    pascal = pairs("pascal-sentence").split("train")
    folded = replace(pascal, splits=np.where(one_in_five(pascal), "test", "train"))
    flickr = pairs("flickr8k")
    flickr = replace(flickr, splits=np.where(flickr.splits == "train", "train", "test"))
    rows = []
    for name in OF_PASCAL:
        model = trained(folded, PRESETS[name], encoder)
        rows.append(row(f"Pascal Sentence, {name}", model, folded.split("test"), encoder))
    for preset in (captions(), PRESETS["infonce"]):
        model = trained(flickr, preset, encoder)
        rows.append(row(f"Flickr8k, {preset.name}", model, pascal, encoder))
    means = {
        figure: [round(float(np.mean(column)), 3) for column in zip(*lists, strict=True)]
        for figure in ("nll", "ece")
        if (lists := [found[figure] for found in rows])
    }
    release = load("sketch")
    assert release.image.encoder is not None
    seen = row("default, which has seen the pictures", release, pascal, release.image.encoder)
    content = {
        "scales": SCALES,
        "default_logit_scale": DEFAULT_LOGIT_SCALE,
        "mean": means,
        "models": rows,
        "seen": seen,
    }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


def captions() -> Preset:
    """Settings of `sketch` from its own record, without the label loss."""
    settings = load("sketch").training["settings"]
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
    return Preset(**given | {"objective": {"infonce": settings["objective"]["infonce"]}})


def pairs(name: str) -> PairDataset:
    """Load a dataset of pictures."""
    found = load_dataset(name)
    assert isinstance(found, PairDataset)
    return found


def one_in_five(dataset: PairDataset) -> np.ndarray:
    """Return a (N,) mask of a fifth of the items of each class."""
    mask = np.zeros(len(dataset), dtype=bool)
    for label in range(len(dataset.classes)):
        rows = np.random.default_rng(label).permutation(np.flatnonzero(dataset.labels == label))
        mask[rows[::5]] = True
    return mask


def trained(dataset: PairDataset, preset: Preset, encoder: ImageEncoder) -> CrossModalModel:
    """Train on the training split."""
    texts = text_encoder("bow")
    found = run_experiment(dataset, preset, 0, image_encoder=encoder, text_encoder=texts).model
    assert found is not None
    return found


def row(
    title: str, model: CrossModalModel, dataset: PairDataset, encoder: ImageEncoder
) -> dict[str, object]:
    """Return the accuracy, and for each scale the negative log-likelihood and calibration error."""
    paths = [path for path in dataset.images if path is not None]
    images = model.image.embed(FeatureCache().encode(encoder, paths))
    classes = class_vectors(model, [WORDS.get(name, name) for name in dataset.classes])
    right = dataset.labels
    figures: dict[str, list[float]] = {"nll": [], "ece": []}
    for scale in SCALES:
        shares = class_probabilities(images, classes, 1 / scale).astype(np.float64)
        own = np.maximum(shares[np.arange(len(right)), right], np.finfo(np.float32).tiny)
        figures["nll"].append(round(float(-np.log(own).mean()), 3))
        figures["ece"].append(round(calibration_error(shares, right), 3))
    accuracy = round(float((shares.argmax(1) == right).mean()), 3)
    print(title, accuracy, SCALES[int(np.argmin(figures["nll"]))], flush=True)
    return {"model": title, "pictures": len(right), "accuracy": accuracy, **figures}


def calibration_error(shares: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error, with equal bins.

        Σ_b n_b / n · |accuracy(b) − confidence(b)|

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.
    """
    sure, hit = shares.max(axis=1), shares.argmax(axis=1) == right
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [
        abs(hit[bins == at].mean() - sure[bins == at].mean()) * (bins == at).mean()
        for at in np.unique(bins)
    ]
    return float(np.sum(gaps))


if __name__ == "__main__":
    main()
