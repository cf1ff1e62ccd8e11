"""Accuracy lost by int8: MobileNetV2 and all-MiniLM-L6-v2 on real pictures and captions.

    CMR_DATA_HOME=DATA python benchmarks/int8.py MOBILENET_V2.safetensors

Projectors are those of CCA (ridge 1, 160 directions, weighted by their correlation), fitted on
float32 features of the training split and the same throughout. Flickr8k's validation split is
measured by Recall@10 of its captions, Pascal Sentence's test split by class MAP, both ways
averaged, and by the same Recall. Galleries and queries are both of the backend, in ONNX Runtime.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from minilm import minilm
from rows import rounded

from cmr_hub.baselines.canonical import canonical_directions
from cmr_hub.baselines.views import LinearView
from cmr_hub.datasets import PairDataset, load_dataset
from cmr_hub.encoders.backends import backend_placement
from cmr_hub.encoders.backends.convert import export_image_encoder, export_text_encoder
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images import image_encoder
from cmr_hub.encoders.images.base import ImageEncoder
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.metrics.validation import caption_figures

DATASETS = {"flickr8k": "validation", "pascal-sentence": "test"}
RIDGE, SETTINGS = 1.0, {"dim": 160, "power": 1.0}


def main() -> None:
    image: ImageEncoder = image_encoder("mobilenet_v2", Path(sys.argv[1]))
    text: TextEncoder = text_encoder("sentence", source=str(minilm())).fit([])
    int8 = backend_placement("onnx", int8=True)
    encoders = {
        "float32": (image, text),
        "int8": (export_image_encoder(image, int8), export_text_encoder(text, int8)),
    }
    cache = FeatureCache()
    row: dict[str, Any] = {}
    for name, split in DATASETS.items():
        dataset = load_dataset(name)
        assert isinstance(dataset, PairDataset)
        train, held_out = dataset.split("train"), dataset.split(split)
        paths = [path for path in train.images if path is not None]
        views = (
            LinearView.fit(cache.encode(image, paths, progress=True)),
            LinearView.fit(cache.encode_texts(text, train.sentences, progress=True)),
        )
        weights = canonical_directions(*views, RIDGE, RIDGE).weighted(SETTINGS)
        shown = [path for path in held_out.images if path is not None]
        said = [(one,) for sentences in held_out.sentences for one in sentences]
        owners = np.repeat(
            np.arange(len(held_out)), [len(sentences) for sentences in held_out.sentences]
        )
        assert len(paths) == len(train)
        assert len(shown) == len(held_out)
        row[name] = {}
        for precision, (images, texts) in encoders.items():
            rows = (cache.encode(images, shown), cache.encode_texts(texts, said))
            embedded = [
                view.coordinates(own) @ weight
                for view, own, weight in zip(views, rows, weights, strict=True)
            ]
            unit = [
                (one / np.linalg.norm(one, axis=1, keepdims=True)).astype(np.float32)
                for one in embedded
            ]
            figures = caption_figures(*unit, owners, held_out.labels)
            row[name][precision] = {key: rounded(value) for key, value in figures.items()}
            print(name, split, precision, row[name][precision], flush=True)


if __name__ == "__main__":
    main()
