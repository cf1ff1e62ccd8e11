"""A grid as a TOML file: defaults laid under every row, and each mistake told with its place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cmr_hub.errors import CMRError
from cmr_hub.evaluation.grid import Grid, Settings


def read_grid(path: str | Path) -> Grid:
    """Reads a grid file.

    A grid has `name`, `title`, `seeds`, `defaults` and `tables`; a table has `id`, `title`,
    `reference`, `rows`, and perhaps `defaults`, `published`, `measure` and `disagreement`; a row
    has `label`, perhaps `published`, and the fields of `Settings`. A field that a row does not give
    comes from its table's defaults, else from the grid's. A table without rows has the grid's own
    `rows`.

    Raises:
        CMRError: the file cannot be read or says something wrong; the message names the place.
    """
    source = Path(path)
    try:
        content = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CMRError(f"there is no grid file {source}") from error
    except (OSError, ValueError) as error:
        raise CMRError(f"{source} cannot be read as TOML: {error}") from error
    try:
        return Grid.model_validate(_with_defaults(content))
    except ValidationError as error:
        problems = dict.fromkeys(
            f"\n  {_place(content, problem['loc'])}: {_reason(problem)}"
            for problem in error.errors(include_url=False)
        )
        raise CMRError(f"{source} is not a valid grid:{''.join(problems)}") from error
    except _LayoutError as error:
        raise CMRError(f"{source} is not a valid grid:\n  {error}") from error


class _LayoutError(Exception):
    pass


def _with_defaults(content: dict[str, Any]) -> dict[str, Any]:
    """The grid with every row's settings whole, as `Grid` wants them."""
    grid = dict(content)
    defaults = _settings_of(grid.pop("defaults", {}), "defaults")
    shared = grid.pop("rows", None)
    tables = []
    for number, given in enumerate(_list_of_tables(grid.get("tables"), "tables")):
        place = f"tables[{number}]"
        table = dict(given)
        below = defaults | _settings_of(table.pop("defaults", {}), f"{place}.defaults")
        where = f"{place}.rows" if "rows" in table else "rows"
        rows = _list_of_tables(table.get("rows", shared), where)
        table["rows"] = [_row(row, below) for row in rows]
        tables.append(table)
    return grid | {"tables": tables}


def _row(given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    row = dict(given)
    own = {field: row.pop(field) for field in Settings.model_fields if field in row}
    return row | {"settings": defaults | own}


def _settings_of(given: Any, place: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _LayoutError(f"{place}: must be a table of {', '.join(Settings.model_fields)}")
    for field in given:
        if field not in Settings.model_fields:
            raise _LayoutError(
                f"{place}.{field}: no such field; there are {', '.join(Settings.model_fields)}"
            )
    return given


def _list_of_tables(given: Any, place: str) -> list[dict[str, Any]]:
    if isinstance(given, list) and all(isinstance(entry, dict) for entry in given):
        return given
    raise _LayoutError(f"{place}: must be a list of tables, [[{place}]]")


def _place(content: dict[str, Any], location: tuple[int | str, ...]) -> str:
    """`tables[1].rows[2] ('MMD').method`: where in the file the value stands."""
    path = [part for part in location if part not in ("settings", "options")]
    if path[2:3] == ["rows"] and len(path) > 4:
        path = _where_given(content, path)
    words = ""
    here: Any = content
    for part in path:
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            here = None
        if isinstance(part, int):
            label = here.get("label", here.get("id")) if isinstance(here, dict) else None
            words += f"[{part}]" + (f" ({label!r})" if label else "")
        else:
            words += f".{part}" if words else part
    return words or "the file"


def _where_given(content: dict[str, Any], path: list[int | str]) -> list[int | str]:
    """A row's field may come from shared rows, or from the defaults of its table or of the grid."""
    field = path[4]
    table = content["tables"][path[1]]
    rows, above = (table["rows"], path[:3]) if "rows" in table else (content["rows"], ["rows"])
    for given, place in (
        (rows[path[3]], [*above, path[3]]),
        (table.get("defaults", {}), [*path[:2], "defaults"]),
        (content.get("defaults", {}), ["defaults"]),
    ):
        if field in given:
            return [*place, *path[4:]]
    return path


def _reason(problem: Any) -> str:
    if problem["type"] == "missing":
        return "is not given, neither here nor in the defaults"
    return str(problem["msg"]).removeprefix("Value error, ")
