"""Build a release: train it, evaluate it once, and save it with its gallery."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cmr_hub.datasets.joined import joined
from cmr_hub.errors import CMRError
from cmr_hub.experiments.transfer import evaluate_transfer
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item
from cmr_hub.hub.card import write_card
from cmr_hub.models.names import PICTURES
from cmr_hub_sketches import draw, sentences
from cmr_hub_sketches.painter import split_scene
from scripts.default.train import train_release

if TYPE_CHECKING:
    from cmr_hub.datasets.pairs import PairDataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.training.presets import Preset
    from cmr_hub.types import JSONObject
    from scripts.default.canonical import CanonicalPart

GALLERY_SCENES: Sequence[int] = (*range(238), 6625, 12685)
"""Scenes of the test split; the last two match the query in the README."""
SCENES_WITH_PHOTOGRAPHS: Final = (*range(78), 6625, 12685)
"""Scenes of a gallery that also has photographs."""
GALLERY_WIDTH: Final = 400
CREDITS: Final = "credits.jsonl"
_CREDITED: Final = ("title", "author", "licence", "source")


def build_release(
    out: str | Path,
    datasets: Sequence[PairDataset],
    preset: Preset,
    image_encoder: ImageEncoder,
    text_encoder: TextEncoder,
    cache: FeatureCache,
    *,
    canonical: CanonicalPart | None = None,
    photographs: Path | None = None,
    seed: int = 0,
    progress: bool = False,
) -> JSONObject:
    """Train a model, evaluate each held-out split once, save the model and write its card.

    Args:
        out: a new, empty or existing model directory.
        datasets: datasets to train on; they are evaluated on their test split or, if there is none,
            on their validation split.
        preset: training settings.
        image_encoder, text_encoder: frozen encoders.
        cache: cache of features.
        canonical: see `train_release`.
        photographs: folder of pictures with `credits.jsonl`, from `make photographs`, to put into
            the gallery before the sketches.
        seed: random seed.
        progress: show progress bars.

    Returns:
        The training record, with the figures of each dataset under "figures"; see `measure`.

    Raises:
        CMRError: as `train_release`, or a dataset has no split to evaluate on.
    """
    train = joined([dataset.split("train") for dataset in datasets])
    model = train_release(
        train,
        preset,
        image_encoder,
        text_encoder,
        cache,
        canonical=canonical,
        seed=seed,
        progress=progress,
    )
    figures = {dataset.name: measure(model, dataset, cache) for dataset in datasets}
    model.training = {**model.training, "figures": figures}
    with tempfile.TemporaryDirectory() as folder:
        items = []
        if photographs is not None:
            items = photograph_items(photographs, Path(folder) / "photographs")
        scenes = GALLERY_SCENES if photographs is None else SCENES_WITH_PHOTOGRAPHS
        items += sketch_items(scenes, Path(folder) / "sketches" if items else Path(folder))
        model.gallery = Gallery.create(None, model)
        model.gallery.add(items)
        model.save_pretrained(out, pictures=True)
    if photographs is not None:
        shutil.copy(photographs / CREDITS, Path(out) / PICTURES / "photographs")
    write_card(out)
    return model.training


def measure(model: CrossModalModel, dataset: PairDataset, cache: FeatureCache) -> JSONObject:
    """Evaluate a model on the held-out split of a dataset.

    Returns:
        `split`, `pictures`, and text→image `recall_at_1`, `_5`, `_10` of a picture by one of its
        sentences: over all sentences (`sentences`) and over each picture's longest, most specific
        sentence (`longest`). With labels also `map_i2t`, `map_t2i` and `map_avg` (MAP@all, relevant
        = same class, all sentences of an item as one text).
    """
    split = next((name for name in ("test", "validation") if name in dataset.split_names), None)
    if split is None:
        raise CMRError(f"{dataset.name} has no test or validation split to evaluate on")
    part = dataset.split(split)
    longest = tuple((max(texts, key=len),) if texts else () for texts in part.sentences)
    found: JSONObject = {"protocol": dataset.protocol, "split": split, "pictures": len(part)}
    for name, queries in (("sentences", part), ("longest", replace(part, sentences=longest))):
        record = evaluate_transfer(model, queries, split, cache).record.to_dict()
        recall = record["captions"]["recall_t2i"]
        found[name] = {f"recall_at_{k}": recall[str(k)] for k in (1, 5, 10)}
        if name == "sentences" and record["relevance"] == "class":
            found |= {key: record[key] for key in ("map_i2t", "map_t2i", "map_avg")}
    return found


def photograph_items(source: Path, folder: Path) -> list[Item]:
    """Return the photographs with their captions and the credits that their licences require."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(CREDITS))
    lines = (source / CREDITS).read_text(encoding="utf-8").splitlines()
    return [
        Item(
            id=f"photograph-{Path(credit['file_name']).stem}",
            path=(folder / credit["file_name"]).absolute(),
            sentences=tuple(credit["captions"]),
            metadata={"kind": "photograph", **{name: credit[name] for name in _CREDITED}},
        )
        for credit in map(json.loads, lines)
    ]


def sketch_items(scenes: Sequence[int], folder: Path) -> list[Item]:
    """Draw held-out sketches into a folder, as small files."""
    folder.mkdir(exist_ok=True)
    items = []
    for number in scenes:
        scene = split_scene("test", number)
        path = folder / f"{number:05}.webp"
        draw(scene, width=GALLERY_WIDTH).save(path, quality=85, method=6)
        items.append(
            Item(
                id=f"sketch-{number:05}",
                path=path.absolute(),
                sentences=tuple(sentences(scene)),
                label=scene.label,
            )
        )
    return items
