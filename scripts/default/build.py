"""A release, whole: trained, measured once, and saved with its gallery."""

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
"""Of the test split; the last two are what the README's example asks for."""
BESIDE_PHOTOGRAPHS: Final = (*range(78), 6625, 12685)
"""Fewer of them, where photographs come first."""
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
    """Trains on the training splits, measures each held-out split once, saves, and writes the card.

    Args:
        out: a new, empty or older model directory.
        datasets: what to learn from and to measure on; a dataset's test split or, where it has
            none, its validation split is for measuring.
        preset: how to train.
        image_encoder, text_encoder: frozen.
        cache: where features are kept.
        canonical: see `train_release`.
        photographs: a folder of pictures with `credits.jsonl`, as `make photographs` writes it,
            to stand in the gallery before the sketches.
        seed: Random seed.
        progress: show bars.

    Returns:
        How it was trained and, under "figures", what was measured by dataset; see `measure`.

    Raises:
        CMRError: as `train_release`, or a dataset has nothing to measure on.
    """
    whole = joined([dataset.split("train") for dataset in datasets])
    model = train_release(
        whole,
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
        scenes = GALLERY_SCENES if photographs is None else BESIDE_PHOTOGRAPHS
        items += sketch_items(scenes, Path(folder) / "sketches" if items else Path(folder))
        model.gallery = Gallery.create(None, model)
        model.gallery.add(items)
        model.save_pretrained(out, pictures=True)
    if photographs is not None:
        shutil.copy(photographs / CREDITS, Path(out) / PICTURES / "photographs")
    write_card(out)
    return model.training


def measure(model: CrossModalModel, dataset: PairDataset, cache: FeatureCache) -> JSONObject:
    """What a model finds in the held-out split of a dataset.

    Returns:
        `split`, `pictures`, and text→image `recall_at_1`, `_5`, `_10` of a picture by one of its
        sentences: over all sentences (`sentences`) and over each picture's longest (`longest`),
        which tells most. With labels `map_i2t`, `map_t2i` and `map_avg` (MAP@all, relevant = same
        class, an item's sentences together one text).
    """
    split = next((name for name in ("test", "validation") if name in dataset.split_names), None)
    if split is None:
        raise CMRError(f"{dataset.name} has no test or validation split to measure on")
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
    """Photographs with their captions and with what their licences want to be told."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(CREDITS))
    lines = (source / CREDITS).read_text(encoding="utf-8").splitlines()
    return [
        Item(
            id=f"photograph-{Path(told['file_name']).stem}",
            path=(folder / told["file_name"]).absolute(),
            sentences=tuple(told["captions"]),
            metadata={"kind": "photograph", **{name: told[name] for name in _CREDITED}},
        )
        for told in map(json.loads, lines)
    ]


def sketch_items(scenes: Sequence[int], folder: Path) -> list[Item]:
    """Draws held-out sketches into a folder, small enough to ship."""
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
