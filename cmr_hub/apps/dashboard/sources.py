"""Read the results, models and galleries that the dashboard shows.

Each function caches its result until the files change.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import streamlit as st

from cmr_hub.errors import CMRError, DataNotFoundError, ImageError, ModelFormatError
from cmr_hub.experiments.curves import CHECKPOINTS, checkpoints_of
from cmr_hub.experiments.plan import PLANS, RUNS, Plan, saved_plans
from cmr_hub.experiments.run_groups import FACTORS, RunGroup, grouped, labels
from cmr_hub.experiments.run_index import RunIndex, joined, run_index
from cmr_hub.experiments.space import MAX_VECTORS, Answers, Direction, Space, SpaceItem, answers
from cmr_hub.experiments.stored_space import StoredSpace, read_stored_space, stored_spaces
from cmr_hub.experiments.tables import TableResult, table_result
from cmr_hub.gallery.manifest import FILE_NAME, holds_gallery
from cmr_hub.models.names import CONFIG, GALLERY, PICTURES, SNAPSHOTS
from cmr_hub.releases import RELEASES, release_directory

if TYPE_CHECKING:
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.gallery.local import LocalStore

Stamp: TypeAlias = "tuple[tuple[str, int, int, int], ...]"
"""Path, inode, modification time and size of files, used to detect changes."""

THUMBNAIL: Final = (220, 220)
DEPTH: Final = 10
"""Number of hits per query that a confusion matrix counts."""
_MAX_MODELS: Final = 200


@dataclass(frozen=True)
class Sources:
    """The folders that the dashboard shows.

    Attributes:
        results: the output folder of `cmr ablate` and `cmr train`.
        models: model directories, or folders that contain model directories.
        device, allow_download: see `load`.
    """

    results: Path
    models: tuple[Path, ...]
    device: str = "auto"
    allow_download: bool = False

    def model_directories(self) -> dict[str, Path]:
        """Return the models by name: first those in the given folders, then the releases."""
        own = {
            str(directory): directory
            for directory in self._candidates()
            if (directory / CONFIG).is_file()
        }
        return own | {name: release_directory(name) for name in RELEASES if name not in own}

    def gallery_directories(self) -> dict[str, Path]:
        """Return the galleries by name: first separate galleries, then those saved with a model."""
        separate = {
            str(directory): directory
            for directory in self._candidates()
            if holds_gallery(directory)
        }
        return separate | {
            name: directory
            for name, directory in self.model_directories().items()
            if (directory / GALLERY).is_dir()
        }

    def trainings(self) -> dict[str, Path]:
        """Return the checkpoint directories of unfinished trainings, by the path of the model."""
        return {
            str(directory): checkpoints
            for directory in self._candidates()
            if (checkpoints := checkpoints_of(directory)).is_dir()
        }

    def _candidates(self) -> list[Path]:
        found: dict[Path, None] = {}
        for named in self.models:
            found[named] = None
            if named.is_dir() and not (named / CONFIG).is_file():
                inside = sorted(path for path in named.iterdir() if path.is_dir())
                for path in inside[:_MAX_MODELS]:
                    found[path.with_name(path.name.removesuffix(CHECKPOINTS))] = None
        return list(found)


def sources() -> Sources:
    """Parse the command line: `--results`, `--device`, `--allow-download` and `--model`s."""
    parser = argparse.ArgumentParser(prog="streamlit run app.py --", allow_abbrev=False)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--model", type=Path, action="append", default=None)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--allow-download", action="store_true")
    known, _ = parser.parse_known_args(sys.argv[1:])
    models = tuple(known.model or [Path("runs")])
    return Sources(known.results, models, known.device, known.allow_download)


def stamp(*paths: Path) -> Stamp:
    """Return the stamp of all existing files among `paths`.

    The inode detects a replaced file even if its modification time is unchanged.
    """
    stamps = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        stamps.append((str(path), status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(stamps)


@dataclass(frozen=True, eq=False)
class RunStore:
    """The stored runs. All sessions share one object, so it must not be modified."""

    index: RunIndex
    groups: list[RunGroup]

    @cached_property
    def names(self) -> dict[str, str]:
        """The names of all groups, by key. New runs change only a few of them."""
        telling = [factor for factor in FACTORS if factor != "objective"]
        names = labels(self.groups, telling)
        return {group.key: name for group, name in zip(self.groups, names, strict=True)}

    @cached_property
    def by_key(self) -> dict[str, RunGroup]:
        """The groups by key."""
        return {group.key: group for group in self.groups}


def run_store(home: Sources) -> RunStore:
    """Return the runs in the results folder and those that `cmr train` stored next to models."""
    paths = dict.fromkeys(folder / RUNS for folder in (home.results, *home.models))
    return _run_store(tuple(map(str, paths)), stamp(*paths))


@st.cache_resource(max_entries=2, show_spinner="Reading the runs …")
def _run_store(paths: tuple[str, ...], stamp_of_files: Stamp) -> RunStore:
    indexes = []
    for path in paths:
        try:
            indexes.append(run_index(path))
        except DataNotFoundError:
            continue
        except ModelFormatError as error:
            indexes.append(RunIndex(joined([]).table, [str(error)]))
    index = joined(indexes)
    return RunStore(index, grouped(index))


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables of all grids with their results, or the error in a plan."""

    plans: list[tuple[Plan, list[TableResult]]]
    problem: str = ""


def tables(home: Sources) -> Tables:
    """Return the tables that `cmr report` would write."""
    plans = sorted((home.results / PLANS).glob("*.json"))
    return _tables(str(home.results), stamp(home.results / RUNS, *plans), home)


@st.cache_resource(max_entries=2, show_spinner="Filling the tables …")
def _tables(results: str, stamp_of_files: Stamp, _home: Sources) -> Tables:
    try:
        plans = saved_plans(Path(results))
        records = run_store(_home).index.of_cells(cell for plan in plans for cell in plan.cells)
        filled = [
            (plan, [table_result(table, records) for table in plan.tables])
            for plan in plans
            if not plan.superseded
        ]
    except CMRError as error:
        return Tables([], str(error))
    return Tables(filled)


@dataclass(frozen=True)
class SpaceSource:
    """A common space: of a stored run, or of a gallery or model directory."""

    name: str
    stored: StoredSpace | None = None
    model: Path | None = None


def space_sources(home: Sources) -> tuple[dict[str, SpaceSource], list[str]]:
    """Return all spaces by their key in URLs, and error messages of unreadable files."""
    found = {
        f"model:{name}": SpaceSource(
            f"{'model' if (directory / CONFIG).is_file() else 'gallery'} {name}", model=directory
        )
        for name, directory in home.gallery_directories().items()
    }
    stored, problems = stored_spaces(home.results)
    for one in stored:
        title = f"{one.dataset} {one.split} · {one.preset} · {one.texts}"
        found[f"run:{one.path.stem}"] = SpaceSource(title, stored=one)
    return found, problems


def source_facts(source: SpaceSource) -> str:
    """Return a text that identifies a space and changes with its files."""
    if source.stored is not None:
        return repr(stamp(source.stored.path))
    return repr(_model_stamp(source.model or Path()))


def _model_stamp(directory: Path) -> Stamp:
    return stamp(_gallery_of(directory) / FILE_NAME, directory / SNAPSHOTS)


def _gallery_of(directory: Path) -> Path:
    inside = directory / GALLERY
    return inside if inside.is_dir() else directory


def space(source: SpaceSource) -> Space:
    """Read a space. Raises CMRError."""
    if source.stored is not None:
        items = _items(source.stored.dataset, source.stored.split, os.environ.get("CMR_DATA_HOME"))
        return _stored_space(source.stored, stamp(source.stored.path), bool(items))
    directory = source.model or Path()
    return _model_space(str(directory), _model_stamp(directory))


@st.cache_resource(max_entries=6, show_spinner="Reading the embeddings …")
def _stored_space(stored: StoredSpace, stamp_of_file: Stamp, has_items: bool) -> Space:
    return read_stored_space(
        stored, _items(stored.dataset, stored.split, os.environ.get("CMR_DATA_HOME"))
    )


@st.cache_resource(max_entries=4, show_spinner="Reading pictures' names and sentences …")
def _items(dataset: str, protocol: str, data_home: str | None) -> dict[str, SpaceItem]:
    """Return the items of a dataset by id; empty if the dataset is not available."""
    if not data_home:
        return {}
    from cmr_hub.datasets import PairDataset, load_dataset

    try:
        found = load_dataset(dataset, protocol=protocol, check_images=False)
    except CMRError:
        return {}
    if not isinstance(found, PairDataset):
        return {}
    return {
        id_: SpaceItem(id_, found.classes[label] if label >= 0 else None, path, sentences)
        for id_, label, path, sentences in zip(
            found.ids, found.labels, found.images, found.sentences, strict=True
        )
    }


@st.cache_resource(max_entries=6, show_spinner="Reading the gallery …")
def _model_space(directory: str, stamp_of_files: Stamp) -> Space:
    from cmr_hub.gallery.space import space_of
    from cmr_hub.training.snapshots import read_snapshots

    file = Path(directory) / SNAPSHOTS
    snapshots = read_snapshots(file) if file.is_file() else None
    return space_of(open_store(Path(directory)), snapshots, MAX_VECTORS)


def zero_shot_spaces(source: SpaceSource, shown: Space) -> dict[str, Space]:
    """Return the space of a gallery for each column of labels that `cmr label` wrote."""
    if source.model is None:
        return {}
    return _zero_shot_spaces(str(source.model), _model_stamp(source.model), shown)


@st.cache_resource(max_entries=6, show_spinner=False)
def _zero_shot_spaces(directory: str, stamp_of_files: Stamp, _shown: Space) -> dict[str, Space]:
    from cmr_hub.gallery.label import zero_shot_columns
    from cmr_hub.gallery.space import labelled_by

    table = open_store(Path(directory)).table()
    return {column: labelled_by(_shown, table, column) for column in zero_shot_columns(table)}


def answers_of(source: SpaceSource, shown: Space, way: Direction, epoch: int = -1) -> Answers:
    """Rank the answers to all queries of a space at an epoch."""
    return _answers(source_facts(source), way, epoch, shown)


@st.cache_resource(max_entries=40, show_spinner="Ranking all queries …")
def _answers(facts: str, way: Direction, epoch: int, _shown: Space) -> Answers:
    return answers(_shown.at(epoch), way, DEPTH)


def open_store(directory: Path) -> LocalStore:
    """Open the store of a gallery or of a model's gallery. Raises CMRError."""
    from cmr_hub.gallery.local import LocalStore

    pictures = directory / PICTURES
    return LocalStore.open(_gallery_of(directory), root=pictures if pictures.is_dir() else None)


def gallery(directory: Path) -> Gallery:
    """Open a gallery or a model's gallery, together with the model. Raises CMRError."""
    home = sources()
    files = stamp(directory / CONFIG, _gallery_of(directory) / FILE_NAME)
    return _gallery(str(directory), files, home.device, home.allow_download)


@st.cache_resource(max_entries=2, show_spinner="Loading the model …")
def _gallery(directory: str, stamp_of_files: Stamp, device: str, allow_download: bool) -> Gallery:
    from cmr_hub.loading import open_gallery

    return open_gallery(directory, device=device, allow_download=allow_download)


def thumbnail(path: Path | None) -> str:
    """Return a thumbnail as a data URL, or an empty string if the picture cannot be read."""
    return "" if path is None else _thumbnail(str(path), stamp(path))


@st.cache_data(max_entries=4_000, show_spinner=False)
def _thumbnail(path: str, stamp_of_file: Stamp) -> str:
    from cmr_hub.datasets.images import read_image

    try:
        image = read_image(Path(path))
    except ImageError:
        return ""
    image.thumbnail(THUMBNAIL)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
