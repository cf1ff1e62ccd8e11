"""The model card of a model directory, with its pictures."""

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
    """Write the model card `README.md` of a model directory, and its pictures to `card/`.

    Args:
        directory: a directory written by `save_pretrained`.
        into: directory for the card; default: `directory`.
        load_name: the name that users will pass to `load`, for example `user/name` on the Hub;
            default: name of the directory.
        results: folder of results with other seeds of the same run, for the standard deviation.

    Returns:
        The path of the card.

    Raises:
        ModelFormatError: `directory` is not a model directory, or its training record is invalid.
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
    """Return the text that `write_card` would write with the existing pictures."""
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
    """Return one record per seed of the same run; the record of the model replaces its seed."""
    if results is None or not (results / RUNS).is_file() or "map_i2t" not in training:
        return []
    records, _ = read_runs(results / RUNS)
    settings = {key: training.get(key) for key in _SAME_RUN}
    by_seed = {
        record.seed: record.to_dict()
        for record in records
        if {key: getattr(record, key) for key in _SAME_RUN} == settings
    }
    by_seed[training["seed"]] = training
    return [by_seed[seed] for seed in sorted(by_seed)]
