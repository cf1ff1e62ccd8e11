"""Content-based image retrieval: a baseline of image features without learning or text."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.errors import TrainingError
from cmr_hub.experiments.results import versions
from cmr_hub.experiments.run_record import RunRecord
from cmr_hub.metrics.content_based import content_based_map

if TYPE_CHECKING:
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder


def measure_content_based(
    dataset: PairDataset | FeatureDataset,
    image_encoder: ImageEncoder | None,
    seed: int,
    cache: FeatureCache,
) -> RunRecord:
    """Evaluate retrieval among the test images, and return a record for the results store.

    Nothing is trained or random; `seed` is only recorded. MAP@all is stored as `map_i2i`.

    Args:
        dataset: a dataset with a test split; items without a picture or a label are skipped.
        image_encoder: encoder of the pictures; None for a dataset of features.
        seed: seed of the cell.
        cache: cache of image features.

    Raises:
        TrainingError: the dataset has pictures, but there is no encoder.
        UnknownNameError: the protocol has no test split.
        ImageError: a picture cannot be read.
        QueryError: no two items share a class.
    """
    started = time.perf_counter()
    test = dataset.split("test")
    if isinstance(test, FeatureDataset):
        features, labels = test.image_features, test.labels
    elif image_encoder is None:
        raise TrainingError("pictures need an image encoder")
    else:
        test = test.subset(test.labelled & np.array([path is not None for path in test.images]))
        paths = [path for path in test.images if path is not None]
        features, labels = cache.encode(image_encoder, paths), test.labels
    found = content_based_map(features, labels)
    return RunRecord.parse(
        {
            "dataset": dataset.name,
            "protocol": dataset.protocol,
            "classes": list(dataset.classes),
            "image_encoder": "precomputed" if image_encoder is None else image_encoder.name,
            "image_weights": None if image_encoder is None else image_encoder.weights_sha256,
            "text_encoder": "none",
            "preset": "content-based",
            "objective": "none",
            "settings": {"distance": "euclidean"},
            "seed": seed,
            "epochs": 0,
            "seconds": round(time.perf_counter() - started, 3),
            "pairs": {"train": 0, "validation": 0, "test": len(labels)},
            "map_i2i": found.value,
            **dict.fromkeys(("map_i2t", "map_t2i", "map_avg", "map50_avg")),
            **dict.fromkeys(("image_accuracy", "text_accuracy")),
            "versions": versions(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )
