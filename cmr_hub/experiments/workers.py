"""Run cells in parallel processes with one thread each."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from cmr_hub.datasets import PairDataset, load_dataset
from cmr_hub.datasets.features import FeatureDataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.encoders.images.concat import image_encoders
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import CMRError
from cmr_hub.experiments.artifacts import TestEmbeddings
from cmr_hub.experiments.content_based import measure_content_based
from cmr_hub.experiments.grid import CONTENT_BASED, PRECOMPUTED, Choice, OtherData, build_method
from cmr_hub.experiments.nested import choose
from cmr_hub.experiments.plan import Cell, image_features, located, text_features
from cmr_hub.experiments.run import run_experiment
from cmr_hub.experiments.transfer import evaluate_transfer
from cmr_hub.training.finetune import FineTuning
from cmr_hub.training.finetune_text import TextFineTuning
from cmr_hub.training.presets import Preset

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from cmr_hub.encoders.images.base import ImageEncoder
    from cmr_hub.encoders.texts.base import TextEncoder
    from cmr_hub.experiments.run import Experiment
    from cmr_hub.experiments.run_record import RunRecord
    from cmr_hub.types import JSONObject


@dataclass(frozen=True)
class Materials:
    """Local paths and broken pictures, which every worker needs."""

    image_weights: Mapping[str, Path]
    cache: Path | None
    broken: Mapping[str, frozenset[str]]
    """Ids of items with a broken picture, by dataset or by other data to test on."""


@dataclass(frozen=True)
class Finished:
    """The result of a cell."""

    record: RunRecord
    history: list[dict[str, Any]]
    embeddings: TestEmbeddings | None


def load_cell_dataset(cell: Cell) -> PairDataset | FeatureDataset:
    """Load the dataset of a cell with its protocol, without checking its pictures."""
    choice = cell.settings.dataset
    return load_dataset(choice.name, protocol=cell.protocol, check_images=False, **located(choice))


def load_other_data(other: OtherData) -> PairDataset:
    """Load a split of another dataset, without checking its pictures. Raises CMRError."""
    choice = other.dataset
    whole = load_dataset(choice.name, check_images=False, **located(choice))
    if isinstance(whole, FeatureDataset):
        raise CMRError(f"{choice} has features: a model is tested on pictures and sentences")
    return whole.split(other.split)


def build_text_encoder(choice: Choice) -> TextEncoder:
    """Return an unfitted text encoder. Raises CMRError."""
    return text_encoder(choice.name, **located(choice))


class Workbench:
    """Run cells in one worker, and cache datasets and image encoders between them."""

    def __init__(self, materials: Materials) -> None:
        self.materials = materials
        self.cache = FeatureCache(materials.cache)
        self._datasets: dict[tuple[str, str], PairDataset | FeatureDataset] = {}
        self._others: dict[str, PairDataset] = {}
        self._encoders: dict[str, ImageEncoder] = {}

    def dataset(self, cell: Cell) -> PairDataset | FeatureDataset:
        """Return the cell's dataset, without items whose picture is broken."""
        choice = cell.settings.dataset
        key = (str(choice), cell.protocol)
        if key not in self._datasets:
            whole = load_cell_dataset(cell)
            self._datasets[key] = whole.subset(self._unbroken_rows(str(choice), whole.ids))
        return self._datasets[key]

    def other_data(self, other: OtherData) -> PairDataset:
        """Return other data to test on, without items whose picture is broken."""
        key = str(other)
        if key not in self._others:
            whole = load_other_data(other)
            self._others[key] = whole.subset(self._unbroken_rows(key, whole.ids))
        return self._others[key]

    def _unbroken_rows(self, data: str, ids: Sequence[str]) -> list[int]:
        broken = self.materials.broken[data]
        return [row for row, id_ in enumerate(ids) if id_ not in broken]

    def image_encoder(self, name: str) -> ImageEncoder:
        """Return the image encoder with this name, using its local weights if given."""
        if name not in self._encoders:
            self._encoders[name] = image_encoders(name, self.materials.image_weights)
        return self._encoders[name]

    def run(self, cell: Cell) -> Finished:
        """Run one cell. Raises CMRError for mistakes in the grid."""
        settings, dataset = cell.settings, self.dataset(cell)
        pictures = settings.image_encoder != PRECOMPUTED
        if pictures == isinstance(dataset, FeatureDataset):
            wanted = "its own features: both encoders" if pictures else "no features: no encoder"
            raise CMRError(f"{dataset.name} has {wanted} must be {PRECOMPUTED!r} in the grid")
        images = self.image_encoder(settings.image_encoder) if pictures else None
        if settings.method.name == CONTENT_BASED:
            record = measure_content_based(dataset, images, cell.seed, self.cache)
            return Finished(record.model_copy(update={"validation_map": None}), [], None)
        texts = build_text_encoder(settings.text_encoder) if pictures else None
        candidates = [build_method(choice) for choice in settings.choices()]
        method = candidates[0]
        more: JSONObject = {}
        with TemporaryDirectory() as folder:
            checkpoints = None
            if settings.candidates is not None:
                best, more["nested"] = choose(
                    dataset,
                    candidates,
                    cell.seed,
                    self.cache,
                    Path(folder),
                    image_encoder=images,
                    text_encoder=texts,
                )
                method, checkpoints = candidates[best], Path(folder, str(best))
            experiment = run_experiment(
                dataset,
                method,
                cell.seed,
                image_encoder=images,
                text_encoder=texts,
                fine_tuning=FineTuning(settings.fine_tune) if settings.fine_tune else None,
                text_fine_tuning=TextFineTuning(settings.fine_tune_text)
                if settings.fine_tune_text
                else None,
                cache=self.cache,
                checkpoints=checkpoints,
            )
        scores = [row["validation_map"] for row in experiment.history if "validation_map" in row]
        if experiment.zero_shot is not None:  # epoch 0, which may be the best one
            scores.append(experiment.zero_shot.validation_map)
        record = experiment.record
        if settings.test_on is not None:
            record = self._elsewhere(experiment, settings.test_on)
        more["validation_map"] = max(scores, default=None)
        if texts is not None:  # options as in the grid, without local paths
            more["text_options"] = (record.text_options or {}) | settings.text_encoder.options
        record = record.model_copy(update=more)
        embeddings = None
        own = settings.test_on is None and not (settings.method.options or settings.candidates)
        if isinstance(method, Preset) and own:
            image_rows, text_rows = experiment.test_embeddings
            embeddings = TestEmbeddings(
                images=image_rows,
                texts=text_rows,
                labels=experiment.test.single_labels,
                ids=experiment.test.ids,
                classes=dataset.classes,
                dataset=dataset.name,
                protocol=settings.protocol,
                image_encoder=image_features(settings),
                text_encoder=text_features(settings),
                settings=method.as_dict(),
                cell=cell.key,
                seed=cell.seed,
                validation_map=record.validation_map,
            )
        return Finished(record, experiment.history, embeddings)

    def _elsewhere(self, experiment: Experiment, other: OtherData) -> RunRecord:
        """Evaluate the trained model on other data, and return the record."""
        if experiment.model is None:
            name = experiment.record.preset
            raise CMRError(
                f"{name} is not a pair of projectors, so it cannot be tested on other data"
            )
        dataset = self.other_data(other)
        record = evaluate_transfer(experiment.model, dataset, other.split, self.cache).record
        return record.model_copy(update={"seconds": experiment.record.seconds + record.seconds})


_workbench: Workbench
_DIED = "its process died; if memory is short, use fewer --workers"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_all(
    cells: Sequence[Cell], materials: Materials, workers: int
) -> Generator[tuple[Cell, Finished | str]]:
    """Yield every cell with its result or an error message, in the order of completion.

    If a process dies, only its current cell fails. Closing the generator ends the processes.
    """
    waiting = list(reversed(cells))
    # "fork" does not work, because torch's threads do not survive it.
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    pools: list[ProcessPoolExecutor] = []
    busy: dict[Future[Finished | str], tuple[Cell, ProcessPoolExecutor]] = {}

    def new_pool() -> ProcessPoolExecutor:
        # One process per pool, because a pool breaks when any of its processes dies.
        pools.append(ProcessPoolExecutor(1, context, _prepare_worker, (materials, theirs)))
        return pools[-1]

    def start(pool: ProcessPoolExecutor) -> None:
        cell = waiting.pop()
        try:
            future = pool.submit(_run, cell)
        except (BrokenProcessPool, OSError) as error:  # the process died while it was started
            future = Future()
            future.set_exception(BrokenProcessPool(str(error)))
        busy[future] = cell, pool

    with _one_thread_each():
        try:
            for _ in range(min(workers, len(cells))):
                start(new_pool())
            while busy:
                for done in wait(busy, return_when=FIRST_COMPLETED).done:
                    cell, pool = busy.pop(done)
                    try:
                        result = done.result()
                    except BrokenProcessPool:
                        result, pool = _DIED, new_pool()
                    yield cell, result
                    if waiting:
                        start(pool)
        finally:
            ours.close()
            theirs.close()
            for pool in pools:
                pool.shutdown(cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Limit libraries in processes started here to one thread; they read this on import."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _prepare_worker(materials: Materials, alive: Connection) -> None:
    global _workbench  # noqa: PLW0603 - the only way to pass it to a process of a pool
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner handles Ctrl-C
    threading.Thread(target=_end_with_runner, args=(alive,), daemon=True).start()
    tqdm.set_lock(threading.RLock())  # the default lock would leak if this process is killed
    logging.getLogger("cmr_hub").setLevel(logging.ERROR)  # the runner has logged the warnings
    sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - no progress bars in the runner's bar
    _workbench = Workbench(materials)


def _end_with_runner(alive: Connection) -> None:
    """End this process when the runner closes its end of the pipe or is killed."""
    with suppress(EOFError, OSError):
        alive.recv()
    os._exit(1)


def _run(cell: Cell) -> Finished | str:
    try:
        return _workbench.run(cell)
    except CMRError as error:
        return str(error)
    except Exception:  # the other cells must continue
        return traceback.format_exc()
