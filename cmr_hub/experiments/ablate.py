"""Run the cells of a grid in parallel, and store each result when it is complete."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from cmr_hub.datasets import FeatureDataset, PairDataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images import IMAGE_ENCODERS
from cmr_hub.encoders.images.concat import image_encoders
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.errors import CMRError, DataNotFoundError, ModelFormatError, UnknownNameError
from cmr_hub.experiments.artifacts import keep_embeddings, write_curve
from cmr_hub.experiments.grid import NONE, PRECOMPUTED, Grid
from cmr_hub.experiments.measuring import asked_texts
from cmr_hub.experiments.plan import RUNS, Cell, Plan, make_plan
from cmr_hub.experiments.results import append_run
from cmr_hub.experiments.run_index import run_index
from cmr_hub.experiments.workers import (
    Finished,
    Materials,
    build_text_encoder,
    load_cell_dataset,
    load_other_data,
    run_all,
)
from cmr_hub.types import Document
from cmr_hub.writer import exclusive_lock

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A cell that failed, and why."""

    cell: Cell
    where: str
    reason: str


@dataclass
class Summary:
    """Numbers of cells that `run_grid` ran and that were already stored, and failed cells."""

    run: int = 0
    found: int = 0
    failures: list[Failure] = field(default_factory=list)


def planned_cells(
    grid: Grid, results: Path, image_weights: Mapping[str, Path]
) -> tuple[Plan, list[Cell], int]:
    """Return the plan, the cells still to run, and the number of cells already stored.

    Raises:
        UnknownNameError: there is no such image encoder.
        WeightsError: the weights of an image encoder are not available.
    """
    for name in image_weights:
        if name not in IMAGE_ENCODERS:
            raise UnknownNameError("image encoder", name, sorted(IMAGE_ENCODERS))
    names = {row.settings.image_encoder for table in grid.tables for row in table.rows}
    fingerprints = {
        name: image_encoders(name, image_weights).fingerprint
        for name in sorted(names - {PRECOMPUTED})
    }
    plan, cells = make_plan(grid, fingerprints)
    done = _stored_cells(results)
    missing = [cell for key, cell in cells.items() if key not in done]
    return plan, missing, len(cells) - len(missing)


def run_grid(
    grid: Grid,
    results: str | Path,
    *,
    image_weights: Mapping[str, Path] | None = None,
    workers: int | None = None,
    cache: str | Path | None = None,
) -> Summary:
    """Run the cells of a grid whose key is not in `results/runs.jsonl` yet.

    Each worker is a process with one thread. Only the calling process writes, and a cell is done
    once its line is in the store, so an interrupted grid continues where it stopped.

    Args:
        grid: the grid to run.
        results: output folder for `runs.jsonl`, `grids/`, `curves/` and `embeddings/`.
        image_weights: safetensors files by the name of the image encoder; see `image_encoder`.
        workers: number of processes. Default: one per core.
        cache: folder of the feature cache. Default: the user's cache.

    Raises:
        InUseError: another process is writing to `results`.
        UnknownNameError: there is no such image encoder.
        WeightsError: the weights of an image encoder are not available.
    """
    home = Path(results)
    weights = dict(image_weights or {})
    with exclusive_lock(home, "choose another --results"):
        plan, cells, found = planned_cells(grid, home, weights)
        plan.save(home)
        summary = Summary(found=found)

        def fail(cell: Cell, reason: str) -> None:
            summary.failures.append(Failure(cell, _where(plan, cell), reason))

        features = FeatureCache(cache)
        broken: dict[str, frozenset[str]] = {}
        ready: list[Cell] = []
        for dataset, group in _by_dataset(cells).items():
            try:
                broken[dataset] = _prepare(group, features, weights)
                broken |= _prepare_others(group, features, weights)
                ready += group
            except CMRError as error:
                for cell in group:
                    fail(cell, str(error))
        materials = Materials(weights, None if cache is None else Path(cache), broken)
        count = min(workers or os.cpu_count() or 1, len(ready))
        with (
            tqdm(total=len(ready), desc=grid.name, unit="run", disable=None) as bar,
            closing(run_all(ready, materials, count)) as outcomes,
        ):
            for cell, finished in outcomes:
                if isinstance(finished, str):
                    fail(cell, finished)
                else:
                    try:
                        _keep(plan, cell, finished, home)
                        summary.run += 1
                    except ModelFormatError as error:  # a figure that is not finite
                        fail(cell, str(error))
                bar.update()
                bar.set_postfix(failed=len(summary.failures))
    return summary


def _keep(plan: Plan, cell: Cell, finished: Finished, results: Path) -> None:
    """Store a result. The line in `runs.jsonl` comes last, because it marks the cell as done."""
    places = plan.rows_of(cell.key)
    more = {
        "cell": cell.key,
        "grid": plan.name,
        "tables": [table.id for table, _ in places],
        "row": places[0][1].label,
    }
    record = finished.record.model_copy(update=more)
    if finished.history:
        write_curve(finished.history, results, cell.key)
    if finished.embeddings is not None:
        keep_embeddings(finished.embeddings, results, _stored_cells(results))
    append_run(record, results / RUNS)


def _stored_cells(results: Path) -> set[str]:
    try:
        index = run_index(results / RUNS)
    except DataNotFoundError:
        return set()
    for problem in index.problems:
        logger.warning("%s", problem)
    return set(index.table["cell"].drop_null().to_pylist())


def _where(plan: Plan, cell: Cell) -> str:
    table, row = plan.rows_of(cell.key)[0]
    return f"{table.id}, {row.label}, seed {cell.seed}"


def _by_dataset(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(str(cell.settings.dataset), []).append(cell)
    return groups


def _prepare(
    cells: Sequence[Cell], cache: FeatureCache, image_weights: Mapping[str, Path]
) -> frozenset[str]:
    """Cache the features of the cells' dataset and return the ids of its broken pictures.

    Raises:
        CMRError: the dataset cannot be read.
    """
    dataset = load_cell_dataset(cells[0])
    if isinstance(dataset, FeatureDataset):
        return frozenset()
    texts = [*dataset.sentences, *asked_texts(dataset)]
    return _cache_features(dataset, texts, cells, cache, image_weights)


def _prepare_others(
    cells: Sequence[Cell], cache: FeatureCache, image_weights: Mapping[str, Path]
) -> dict[str, frozenset[str]]:
    """Cache the features of other datasets that the cells are tested on. Raises CMRError."""
    others = {str(cell.settings.test_on): cell.settings.test_on for cell in cells}
    broken = {}
    for name, other in others.items():
        if other is not None:
            group = [cell for cell in cells if cell.settings.test_on == other]
            part = load_other_data(other)
            broken[name] = _cache_features(part, asked_texts(part), group, cache, image_weights)
    return broken


def _cache_features(
    dataset: PairDataset,
    documents: Sequence[Document],
    cells: Sequence[Cell],
    cache: FeatureCache,
    image_weights: Mapping[str, Path],
) -> frozenset[str]:
    """Cache the features of all encoders of the cells; return the ids of broken pictures."""
    sound = dataset.without_broken_images()
    broken = frozenset(dataset.ids) - frozenset(sound.ids)
    if broken:
        logger.warning("%s: %s", dataset.name, sound.report.summary())
    pictures = [path for path in sound.images if path is not None]
    for name in sorted({cell.settings.image_encoder for cell in cells} - {PRECOMPUTED}):
        cache.encode(image_encoders(name, image_weights), pictures, progress=True)
    texts = {str(cell.settings.text_encoder): cell.settings.text_encoder for cell in cells}
    for choice in texts.values():
        if choice.name not in (PRECOMPUTED, NONE):
            with suppress(CMRError):  # each cell reports the error
                _cache_texts(build_text_encoder(choice), documents, cache)
    return broken


def _cache_texts(encoder: TextEncoder, documents: Sequence[Document], cache: FeatureCache) -> None:
    """Cache the rows of pretrained encoders; the others are fitted on the training text later."""
    for part in encoder.parts or (encoder,):
        if type(part).fingerprint is not TextEncoder.fingerprint:
            cache.encode_texts(part.fit([]), documents, progress=True)
