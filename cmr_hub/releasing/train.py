"""How a release is trained: projectors for captions, on frozen encoders of our own.

One row a sentence: the pair of its picture and itself; and one row a labelled item, of all its
sentences. The objective draws a picture to its own sentence (InfoNCE) and, where there is a label,
to its class.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmr_hub.errors import TrainingError
from cmr_hub.evaluation.metrics import mean_average_precision
from cmr_hub.evaluation.results import versions
from cmr_hub.models.centroids import ClassCentroids
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.towers import ImageTower, TextTower
from cmr_hub.training.data import PairedFeatures, TrainingSplits
from cmr_hub.training.presets import Preset
from cmr_hub.training.trainer import train_projectors

if TYPE_CHECKING:
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.types import FloatArray, IntArray

PRESET = Preset(
    name="captions",
    # Sharp, so that pictures of one class can lie close together and still be told apart.
    objective={"infonce": {"temperature": 0.02}, "label": {"weight": 10.0}},
    image_hidden=(512,),
    text_hidden=(512,),
    dim=256,
    dropout=(0.1, 0.3),
    output="sphere",
    radius=5.0,
    learning_rate=5e-4,
    weight_decay=0.01,
    batch_size=512,
    epochs=12,
    patience=4,
)
HELD_OUT = 0.05


@dataclass(frozen=True)
class _Rows:
    """Which item and which text each pair is of.

    Attributes:
        items: (R,) positions in the dataset.
        documents: R texts: a sentence, or all sentences of a labelled item.
        whole: (R,) bool: all sentences.
    """

    items: IntArray
    documents: list[tuple[str, ...]]
    whole: np.ndarray


def train_release(
    dataset: PairDataset,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    cache: FeatureCache,
    *,
    seed: int = 0,
    progress: bool = False,
) -> CrossModalModel:
    """Trains on the whole of `dataset`, of which a part first chooses the number of epochs.

    Args:
        dataset: training items, joined; items without a picture or a text are left out. Their ids
            start with the name of the dataset that they are from (see `joined`).
        image_encoder, text_encoder: fitted; they stay as they are.
        cache: where features are kept.
        seed: of everything random.
        progress: show bars.

    Raises:
        TrainingError: too few items, or none with a label.
        ImageError: a picture cannot be read.
    """
    started = time.perf_counter()
    whole = [
        image is not None and bool(texts)
        for image, texts in zip(dataset.images, dataset.sentences, strict=True)
    ]
    dataset = dataset.subset(np.array(whole))
    if (dataset.labels < 0).all():
        raise TrainingError("a release wants some items with a label")
    rows = _rows(dataset, text_encoder)
    paths = [path for path in dataset.images if path is not None]
    images = cache.encode(image_encoder, paths, progress=progress)
    texts = text_encoder.transform(rows.documents)
    held_out = _held_out(dataset, seed)[rows.items]
    pairs = PairedFeatures(
        images[rows.items], texts, dataset.labels[rows.items], len(dataset.classes)
    )
    chosen = np.flatnonzero(held_out)
    splits = TrainingSplits(
        pairs.subset(np.flatnonzero(~held_out)), pairs.subset(chosen), refit=pairs
    )
    score = _Score(_sources(dataset)[rows.items[chosen]], rows.items[chosen], rows.whole[chosen])
    trained = train_projectors(splits, PRESET, seed, score, progress=progress)
    labelled = np.flatnonzero(rows.whole)
    centroids = ClassCentroids.fit(
        trained.image_projector.embed(pairs.images[labelled]),
        trained.text_projector.embed(pairs.texts[labelled]),
        pairs.labels[labelled],
        len(dataset.classes),
    )
    return CrossModalModel(
        ImageTower(image_encoder, trained.image_projector),
        TextTower(text_encoder, trained.text_projector),
        classes=dataset.classes,
        centroids=centroids,
        training={
            "dataset": dataset.name,
            "protocol": dataset.protocol,
            "items": len(dataset),
            "pairs": len(pairs),
            "image_encoder": image_encoder.name,
            "text_encoder": text_encoder.name,
            "text_options": text_encoder.state()[0].get("options"),
            "preset": PRESET.name,
            "settings": PRESET.as_dict(),
            "seed": seed,
            "epochs": trained.epochs,
            "seconds": round(time.perf_counter() - started, 1),
            "versions": versions(),
        },
        history=trained.history,
    )


def _rows(dataset: PairDataset, encoder: TextEncoder) -> _Rows:
    found: list[tuple[int, tuple[str, ...], bool]] = []
    for item, sentences in enumerate(dataset.sentences):
        single = [(sentence,) for sentence in sentences]
        found += [(item, document, False) for document in single if encoder.knows(document)]
        if dataset.labels[item] >= 0:
            found.append((item, sentences, True))
    items, documents, whole = zip(*found, strict=True)
    return _Rows(np.array(items, dtype=np.int64), list(documents), np.array(whole))


def _sources(dataset: PairDataset) -> np.ndarray:
    return np.array([id_.split("/", 1)[0] for id_ in dataset.ids])


def _held_out(dataset: PairDataset, seed: int) -> np.ndarray:
    """(N,) bool: a share of each source's items."""
    sources = _sources(dataset)
    generator = np.random.default_rng(seed)
    mask = np.zeros(len(dataset), dtype=bool)
    for source in np.unique(sources):
        rows = generator.permutation(np.flatnonzero(sources == source))
        mask[rows[: max(1, round(HELD_OUT * len(rows)))]] = True
    return mask


class _Score:
    """The mean, over the sources, of how well held-out pictures are found.

    Of a source without labels: Recall@10 of a picture by its sentence. With labels: the mean of
    that and the class MAP both ways.
    """

    def __init__(self, sources: np.ndarray, items: IntArray, whole: np.ndarray) -> None:
        self.parts = []
        for source in np.unique(sources):
            rows = np.flatnonzero(sources == source)
            single, documents = rows[~whole[rows]], rows[whole[rows]]
            _, first, owner = np.unique(items[single], return_index=True, return_inverse=True)
            self.parts.append((single, single[first], owner, documents))

    def __call__(self, images: FloatArray, texts: FloatArray, labels: IntArray) -> float:
        figures = []
        for single, gallery, owner, documents in self.parts:
            scores = texts[single] @ images[gallery].T
            own = scores[np.arange(len(owner)), owner]
            recall = float(((scores > own[:, None]).sum(axis=1) < 10).mean())
            if not len(documents):
                figures.append(recall)
                continue
            given = labels[documents]
            i2t = mean_average_precision(images[documents], texts[documents], given, given).value
            t2i = mean_average_precision(texts[documents], images[documents], given, given).value
            figures.append((recall + (i2t + t2i) / 2) / 2)
        return float(np.mean(figures))
