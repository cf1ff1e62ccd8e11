"""The card of a model directory: its text, and beside it what can be shown of the model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cmr_hub.atomic import atomic_file
from cmr_hub.experiments.plan import RUNS
from cmr_hub.experiments.results import read_runs
from cmr_hub.hub.card_pictures import draw_common_space, draw_curves
from cmr_hub.loading import load
from cmr_hub.models.card import model_card
from cmr_hub.models.names import CARD, CARD_PICTURES

if TYPE_CHECKING:
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.types import JSONObject

PICTURES_SHOWN: Final = {
    f"{CARD_PICTURES}/training.png": "Training",
    f"{CARD_PICTURES}/common-space.png": "The gallery in the common space (t-SNE)",
}
_SAME_RUN: Final = (
    *("dataset", "protocol", "image_encoder", "image_weights", "fine_tuned"),
    *("text_encoder", "text_options", "text_fine_tuned", "preset", "settings"),
)


def write_card(
    directory: str | Path,
    *,
    into: Path | None = None,
    load_name: str | None = None,
    results: Path | None = None,
) -> Path:
    """Writes the card `README.md` of a model directory, and its pictures into `card/`.

    Args:
        directory: as `save_pretrained` writes it.
        into: another directory for the card; by default the model's own.
        load_name: what people will give to `load`: `user/name` on the Hub; by default the
            directory's name.
        results: the folder of results with the other seeds of the same run, for the spread.

    Returns:
        The path of the card.

    Raises:
        ModelFormatError: not a model directory, or its training record cannot be understood.
        CMRError: matplotlib is not installed.
    """
    model = load(Path(directory))
    load_name = load_name or Path(directory).resolve().name
    directory = into or Path(directory)
    shutil.rmtree(directory / CARD_PICTURES, ignore_errors=True)
    drawings = (draw_curves(model.history), draw_common_space(model.gallery))
    for name, content in zip(PICTURES_SHOWN, drawings, strict=True):
        if content is not None:
            with atomic_file(directory / name) as file:
                file.write_bytes(content)
    with atomic_file(directory / CARD) as file:
        file.write_text(_text(model, directory, load_name, results), encoding="utf-8")
    return directory / CARD


def card_text(
    directory: str | Path, *, load_name: str | None = None, results: Path | None = None
) -> str:
    """What `write_card` writes, with the pictures that are there; nothing is drawn or written."""
    directory = Path(directory)
    return _text(load(directory), directory, load_name or directory.resolve().name, results)


def _text(model: CrossModalModel, directory: Path, load_name: str, results: Path | None) -> str:
    card = model_card(
        model,
        title=f"CMR Hub: {load_name.rsplit('/', 1)[-1]}",
        load_name=load_name,
        seeds=_seeds(model.training, results),
        pictures={
            caption: name
            for name, caption in PICTURES_SHOWN.items()
            if (directory / name).is_file()
        },
    )
    return str(card)


def _seeds(training: JSONObject, results: Path | None) -> list[JSONObject]:
    """The records of the same run with each seed, this model's own in the place of its seed's."""
    if results is None or not (results / RUNS).is_file() or "map_i2t" not in training:
        return []
    records, _ = read_runs(results / RUNS)
    own = {key: training.get(key) for key in _SAME_RUN}
    found = {
        record.seed: record.to_dict()
        for record in records
        if {key: getattr(record, key) for key in _SAME_RUN} == own
    }
    found[training["seed"]] = training
    return [found[seed] for seed in sorted(found)]
