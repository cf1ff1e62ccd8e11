"""Plan the cells of a grid: one per row and seed, with a key hashed from all its settings."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from cmr_hub.atomic import atomic_file
from cmr_hub.checksums import sha256_of_file
from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.encoders.texts import text_encoder
from cmr_hub.errors import ModelFormatError
from cmr_hub.experiments.grid import (
    CONTENT_BASED,
    DATA_HOME,
    NONE,
    PRECOMPUTED,
    Choice,
    Grid,
    Settings,
    build_method,
)
from cmr_hub.losses import loss_options
from cmr_hub.outside import read_bytes
from cmr_hub.training.finetune import FineTuning
from cmr_hub.training.finetune_text import TextFineTuning
from cmr_hub.training.presets import Preset
from cmr_hub.types import JSONObject

RUNS = "runs.jsonl"
"""File name of the store in the results folder."""
PLANS = "grids"
"""Subfolder of the results with one plan per grid."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedRow(_Strict):
    """A row with the keys of its cells."""

    label: str
    dataset: str
    protocol: str
    image_encoder: str
    text_encoder: str
    method: str
    published: tuple[str, ...]
    cells: dict[int, str]
    """Keys by seed."""
    tested_on: str | None = None
    """Another dataset and its split, on which the model is tested."""

    @property
    def data(self) -> str:
        """Return the dataset and, if different, the dataset on which the model is tested."""
        return self.dataset + (f" → {self.tested_on}" if self.tested_on else "")


class PlannedTable(_Strict):
    """A table of planned rows."""

    id: str
    title: str
    reference: str
    published: tuple[str, ...]
    rows: tuple[PlannedRow, ...]
    measure: str = "map"
    disagreement: str = ""


class Plan(_Strict):
    """The tables of a grid with the keys of their cells, stored to match runs with tables."""

    name: str
    title: str
    tables: tuple[PlannedTable, ...]
    superseded: bool = False
    """Whether the tables also show superseded runs; set by hand, never by `make_plan`."""

    def save(self, results: Path) -> None:
        """Write `grids/<name>.json` in the results folder."""
        with atomic_file(results / PLANS / f"{self.name}.json") as path:
            path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a saved plan. Raises ModelFormatError."""
        try:
            return cls.model_validate_json(read_bytes(path).decode())
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise ModelFormatError(
                f"{path} is not the plan of a grid; delete it and run `cmr ablate` on the grid "
                f"again ({error})"
            ) from error

    @property
    def cells(self) -> set[str]:
        """Keys of all cells."""
        return {key for table in self.tables for row in table.rows for key in row.cells.values()}

    def rows_of(self, key: str) -> list[tuple[PlannedTable, PlannedRow]]:
        """Return the rows that contain a cell; a row can be in several tables."""
        return [
            (table, row) for table in self.tables for row in table.rows if key in row.cells.values()
        ]


def saved_plans(results: Path) -> list[Plan]:
    """Return all plans in the results folder, sorted by name, superseded ones last."""
    plans = [Plan.load(path) for path in sorted((results / PLANS).glob("*.json"))]
    return sorted(plans, key=lambda plan: plan.superseded)


@dataclass(frozen=True)
class Cell:
    """One run: a row's settings with one seed."""

    settings: Settings
    seed: int
    key: str

    @property
    def protocol(self) -> str:
        """Return the protocol of this seed."""
        return self.settings.protocol.replace("{seed}", str(self.seed))


def make_plan(grid: Grid, fingerprints: Mapping[str, str]) -> tuple[Plan, dict[str, Cell]]:
    """Return the plan of a grid and its cells by key, without duplicates.

    Args:
        grid: the grid to plan.
        fingerprints: fingerprints of all image encoders of the grid, by name.
    """
    cells: dict[str, Cell] = {}
    tables = []
    for table in grid.tables:
        rows = []
        for row in table.rows:
            settings = row.settings
            cells_by_seed = {cell.seed: cell for cell in _cells(settings, grid.seeds, fingerprints)}
            for cell in cells_by_seed.values():
                cells.setdefault(cell.key, cell)
            rows.append(
                PlannedRow(
                    label=row.label,
                    dataset=settings.dataset.name,
                    protocol=settings.protocol,
                    image_encoder=image_features(settings),
                    text_encoder=text_features(settings),
                    method=settings.method.name,
                    published=row.published,
                    cells={seed: cell.key for seed, cell in cells_by_seed.items()},
                    tested_on=None if settings.test_on is None else str(settings.test_on),
                )
            )
        tables.append(
            PlannedTable(
                id=table.id,
                title=table.title,
                reference=table.reference,
                published=table.published,
                rows=tuple(rows),
                measure=table.measure,
                disagreement=table.disagreement,
            )
        )
    return Plan(name=grid.name, title=grid.title, tables=tuple(tables)), cells


def image_features(settings: Settings) -> str:
    """Return the image encoder as shown in tables, with the number of fine-tuned blocks."""
    tuned = f", {settings.fine_tune} blocks fine-tuned" if settings.fine_tune else ""
    return settings.image_encoder + tuned


def text_features(settings: Settings) -> str:
    """Return the text encoder as shown in tables, or the kind of precomputed text features."""
    choice = settings.text_encoder
    if choice.name != PRECOMPUTED:
        tuned = settings.fine_tune_text
        options = {
            option: Path(value).name if _is_path(value) else value
            for option, value in choice.options.items()
        }
        name = str(Choice.model_validate({"name": choice.name} | options))
        return f"{name}, {tuned} layers fine-tuned" if tuned else name
    return str(settings.dataset.options.get("text", PRECOMPUTED))


def located(choice: Choice) -> dict[str, Any]:
    """Return the options, with `$CMR_DATA_HOME` in paths replaced by its value if it is set."""
    home = os.environ.get(DATA_HOME.strip("$/"))
    return {
        option: str(Path(home) / value.removeprefix(DATA_HOME))
        if home and _is_path(value)
        else value
        for option, value in choice.options.items()
    }


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(DATA_HOME)


def _cells(
    settings: Settings, seeds: tuple[int, ...], fingerprints: Mapping[str, str]
) -> Iterator[Cell]:
    facts = {
        "dataset": [settings.dataset.name, _contents(settings.dataset)],
        "image_encoder": fingerprints.get(settings.image_encoder, PRECOMPUTED),
        "fine_tuning": FineTuning(settings.fine_tune).as_dict() if settings.fine_tune else None,
        "text_encoder": _text_facts(settings.text_encoder),
        "method": _method_facts(settings.method),
    }
    # Added only if set, so that the keys of older runs do not change.
    if settings.fine_tune_text:
        facts["text_fine_tuning"] = TextFineTuning(settings.fine_tune_text).as_dict()
    if settings.test_on is not None:
        other = settings.test_on
        facts["test_on"] = [other.dataset.name, _contents(other.dataset), other.split]
    if settings.candidates is not None:
        facts["nested"] = [_method_facts(choice) for choice in settings.choices()]
    for seed in seeds:
        protocol = Cell(settings, seed, "").protocol
        text = json.dumps(facts | {"protocol": protocol, "seed": seed}, sort_keys=True, default=str)
        yield Cell(settings, seed, hashlib.sha256(text.encode()).hexdigest())


def _contents(choice: Choice) -> JSONObject:
    """Return the options with files replaced by their hashes, which do not depend on paths."""
    found = located(choice)
    return {
        option: sha256_of_file(found[option])
        if _is_path(value) and Path(found[option]).is_file()
        else value
        for option, value in choice.options.items()
    }


def _text_facts(choice: Choice) -> JSONObject:
    if choice.name in (PRECOMPUTED, NONE):
        return {"name": choice.name}
    encoder = text_encoder(choice.name, **choice.options)
    if choice.name.startswith(PREFIX):  # the path does not matter
        return {"name": PREFIX, "fingerprint": encoder.fingerprint}
    defaults = {
        parameter.name: parameter.default
        for parameter in inspect.signature(type(encoder)).parameters.values()
    }
    return {"name": choice.name} | defaults | _contents(choice)


def _method_facts(choice: Choice) -> JSONObject:
    method = None if choice.name == CONTENT_BASED else build_method(choice)
    if not isinstance(method, Preset):
        return {"name": choice.name}
    terms = {
        term: _without_disabled(loss_options(description.get("loss", term)) | dict(description))
        for term, description in method.objective.items()
    }
    return method.as_dict() | {"objective": terms}


def _without_disabled(options: Mapping[str, Any]) -> JSONObject:
    """Drop disabled options, so that the keys of older runs do not change with new options."""
    return {option: value for option, value in options.items() if value is not False}
