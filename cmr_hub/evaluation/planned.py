"""What grids ask for, as it is kept with the results: rows of tables with the keys of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from cmr_hub.atomic import atomic_file
from cmr_hub.errors import ModelFormatError
from cmr_hub.outside import read_bytes

RUNS = "runs.jsonl"
"""The store, in the folder of results."""
PLANS = "grids"
"""The folder of the results that holds one plan per grid."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedRow(_Strict):
    """A row and the keys of its cells."""

    label: str
    dataset: str
    protocol: str
    image_encoder: str
    text_encoder: str
    method: str
    published: tuple[str, ...]
    cells: dict[int, str]
    """Key by seed."""
    tested_on: str | None = None
    """Another dataset that the model is measured on, and its split."""

    @property
    def data(self) -> str:
        """The dataset and, where the model is measured on another, that one."""
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
    """What a grid asks for: kept with the results, so that runs find their tables again."""

    name: str
    title: str
    tables: tuple[PlannedTable, ...]

    def save(self, results: Path) -> None:
        """Writes `grids/<name>.json` in the folder of results."""
        with atomic_file(results / PLANS / f"{self.name}.json") as path:
            path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a saved plan. Raises ModelFormatError."""
        try:
            return cls.model_validate_json(read_bytes(path).decode())
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise ModelFormatError(
                f"{path} is not the plan of a grid; delete it and run `cmr ablate` on the grid "
                f"again ({error})"
            ) from error

    def rows_of(self, key: str) -> list[tuple[PlannedTable, PlannedRow]]:
        """Where a cell stands: a base row stands in several tables."""
        return [
            (table, row) for table in self.tables for row in table.rows if key in row.cells.values()
        ]


def saved_plans(results: Path) -> list[Plan]:
    """All plans in the folder of results, in the order of their names."""
    return [Plan.load(path) for path in sorted((results / PLANS).glob("*.json"))]
