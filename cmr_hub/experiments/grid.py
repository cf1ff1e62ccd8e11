"""Define and read grids: the tables of a study, with each row measured for every seed."""

from __future__ import annotations

import dataclasses
import itertools
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from cmr_hub.datasets import DATASETS
from cmr_hub.encoders.images import IMAGE_ENCODERS
from cmr_hub.encoders.images.concat import parts_of
from cmr_hub.encoders.pretrained import PREFIX
from cmr_hub.encoders.texts import TEXT_ENCODERS, text_encoder
from cmr_hub.errors import CMRError, UnknownNameError, shown
from cmr_hub.experiments.methods import get_method
from cmr_hub.experiments.published import published_systems
from cmr_hub.training.presets import LinearExpert, Preset

if TYPE_CHECKING:
    from cmr_hub.baselines.base import Baseline

PRECOMPUTED = "precomputed"
"""Encoder name for a dataset that is published as features only."""
CONTENT_BASED = "content-based"
"""Method that searches images with images, without texts or learning."""
NONE = "none"
"""Text encoder name for a method without texts."""
DATA_HOME = "$CMR_DATA_HOME/"
"""Prefix of options that are paths, so that a grid does not depend on the machine."""

NESTED = "-nested"
"""Suffix of the name of a grid's nested tables."""

Name = Annotated[str, Field(min_length=1)]
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Choice(_Strict):
    """A name with options: `"bow"`, or `{ name = "bow", min_df = 2 }`."""

    name: Name
    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_toml(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"name": given}
        if isinstance(given, dict):
            return {
                "name": given.get("name"),
                "options": {key: value for key, value in given.items() if key != "name"},
            }
        return given

    def __str__(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name} ({options})" if options else self.name


def _check_name(kind: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise ValueError(UnknownNameError(kind, name, names))


def _check_dataset(choice: Choice) -> Choice:
    if choice.name not in DATASETS:
        raise ValueError(DATASETS.unknown(choice.name))
    return _check_paths(choice)


def _check_image_encoder(name: str) -> str:
    parts = parts_of(name)
    whole = [PRECOMPUTED] if len(parts) == 1 else []
    for part in parts:
        if not part.startswith(PREFIX):
            _check_name("image encoder", part, [*IMAGE_ENCODERS, *whole])
    return name


def _check_text_encoder(choice: Choice) -> Choice:
    if choice.name.startswith(PREFIX):  # a check must not download the encoder
        if choice.options:
            raise ValueError(f"{choice.name} has no options")
        return choice
    _check_name("text encoder", choice.name, [*TEXT_ENCODERS, PRECOMPUTED, NONE])
    if choice.name not in (PRECOMPUTED, NONE):
        _call_as_validator(text_encoder, choice.name, **choice.options)
    elif choice.options:
        raise ValueError(f"{choice.name} has no options")
    return _check_paths(choice)


def _check_method(choice: Choice) -> Choice:
    if choice.name != CONTENT_BASED:
        _call_as_validator(build_method, choice)
    elif choice.options:
        raise ValueError(f"{CONTENT_BASED} has no options")
    return choice


def _check_paths(choice: Choice) -> Choice:
    for option, value in choice.options.items():
        if isinstance(value, str) and (value.startswith("~") or Path(value).is_absolute()):
            raise ValueError(
                f"{option} = {shown(value)} is a path on this machine; put the file into the data "
                f"folder and write {DATA_HOME}..."
            )
    return choice


def _call_as_validator(function: Any, *args: Any, **options: Any) -> None:
    """Call a function and convert CMRError to ValueError, which pydantic reports."""
    try:
        function(*args, **options)
    except CMRError as error:
        raise ValueError(error) from error


def build_method(choice: Choice) -> Preset | Baseline:
    """Return the preset with its fields replaced by the options, or the baseline.

    Raises:
        UnknownNameError: there is no such method, field of a preset, or loss.
        CMRError: a value has the wrong type for its field, or a baseline has options.
    """
    method = get_method(choice.name)
    if not choice.options:
        return method
    if not isinstance(method, Preset):
        raise CMRError(f"{choice.name} is a baseline: it has no fields to change")
    fields = [
        field.name
        for field in dataclasses.fields(method)
        if field.name not in ("name", "supervised")
        and (field.name == "dim" or getattr(method, field.name) is not None)
    ]
    changes: dict[str, Any] = {}
    for field, value in choice.options.items():
        if field not in fields:
            raise UnknownNameError("field of a preset", field, fields)
        changes[field] = _same_type(field, value, getattr(method, field))
    if "objective" in changes:
        from cmr_hub.losses.objective import build_objective

        build_objective(changes["objective"], dim=2, n_classes=2)
    return replace(method, **changes)


def _same_type(field: str, value: Any, current: Any) -> Any:
    if isinstance(current, tuple) and isinstance(value, list):
        return tuple(value)
    if isinstance(current, float) and type(value) is int:
        return float(value)
    if current is None and type(value) is int:
        return value
    if isinstance(current, LinearExpert) and isinstance(value, dict):
        try:
            return LinearExpert(**value)
        except TypeError as error:
            raise CMRError(f"{field} has wrong keys: {error}") from error
    if field == "objective":
        if isinstance(value, dict) and all(isinstance(term, dict) for term in value.values()):
            return value
        raise CMRError("objective must be a table of terms: { label = { weight = 0.5 } }")
    if type(value) is not type(current):
        raise CMRError(f"{field} must be like {current!r}, not {shown(value)}")
    return value


def _check_protocol(protocol: str) -> str:
    if "{" in protocol.replace("{seed}", ""):
        raise ValueError("the only field of a protocol is {seed}")
    return protocol


def _check_published(key: str) -> str:
    _call_as_validator(published_systems, [key])
    return key


PublishedKeys = tuple[Annotated[str, AfterValidator(_check_published)], ...]
_as_tuple = BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else given)


class OtherData(_Strict):
    """A split of a dataset other than the training dataset."""

    dataset: Annotated[Choice, AfterValidator(_check_dataset)]
    split: Literal["train", "validation", "test"]

    def __str__(self) -> str:
        return f"{self.dataset} {self.split}"


class Settings(_Strict):
    """All settings of a run except its seed."""

    dataset: Annotated[Choice, AfterValidator(_check_dataset)]
    protocol: Annotated[Name, AfterValidator(_check_protocol)]
    """May contain `{seed}`: `random-{seed}` is a different split for every seed."""
    image_encoder: Annotated[Name, AfterValidator(_check_image_encoder)]
    text_encoder: Annotated[Choice, AfterValidator(_check_text_encoder)]
    method: Annotated[Choice, AfterValidator(_check_method)]
    fine_tune: Annotated[int, Field(ge=0)] = 0
    """Number of last blocks of the image encoder to fine-tune."""
    fine_tune_text: Annotated[int, Field(ge=0)] = 0
    """Number of last layers of the sentence encoder to fine-tune."""
    test_on: OtherData | None = None
    """Data to test the trained model on, instead of the test split of its dataset."""
    candidates: dict[str, list[Any]] | None = None
    """For nested selection: values of fields of the preset, all combinations of which are scored
    inside the training part; empty for a baseline, which searches its own settings. None disables
    nested selection."""

    @model_validator(mode="after")
    def _encoders(self) -> Settings:
        if self.method.name == CONTENT_BASED:
            return self._without_texts()
        if self.text_encoder.name == NONE:
            raise ValueError(f"every method except {CONTENT_BASED} needs a text encoder")
        if (self.image_encoder == PRECOMPUTED) != (self.text_encoder.name == PRECOMPUTED):
            raise ValueError(f"either both encoders are {PRECOMPUTED} or none is")
        if self.fine_tune and self.image_encoder == PRECOMPUTED:
            raise ValueError("there is no image encoder to fine-tune")
        if self.fine_tune and len(parts_of(self.image_encoder)) > 1:
            raise ValueError("only a single image encoder can be fine-tuned")
        if self.fine_tune_text and self.text_encoder.name != "sentence":
            raise ValueError("only the text encoder sentence can be fine-tuned")
        if self.test_on is not None and self.image_encoder == PRECOMPUTED:
            raise ValueError("features of different datasets are not comparable")
        if self.candidates is not None and (self.fine_tune or self.fine_tune_text or self.test_on):
            raise ValueError("nested selection needs frozen encoders and a single dataset")
        is_preset = isinstance(get_method(self.method.name), Preset)
        if self.candidates is not None and is_preset != bool(self.candidates):
            raise ValueError("a preset needs candidates, and a baseline searches its own")
        for choice in self.choices():
            _check_method(choice)
        return self

    def choices(self) -> list[Choice]:
        """Return the method with each combination of the candidates, or unchanged without any."""
        given = self.candidates or {}
        fixed = {"name": self.method.name, **self.method.options}
        return [
            Choice.model_validate(fixed | dict(zip(given, each, strict=True)))
            for each in itertools.product(*given.values())
        ]

    def _without_texts(self) -> Settings:
        if self.text_encoder.name != NONE:
            raise ValueError(f"{CONTENT_BASED} has no texts: its text encoder is {NONE!r}")
        if self.fine_tune or self.fine_tune_text or self.test_on is not None:
            raise ValueError(f"{CONTENT_BASED} trains nothing")
        return self


class Row(_Strict):
    """One row of a table, with the published systems to compare it with."""

    label: Name
    settings: Settings
    published: Annotated[PublishedKeys, _as_tuple] = ()


class Table(_Strict):
    """A table; every row is compared with the row `reference`, paired over seeds."""

    id: Identifier
    title: Name
    rows: Annotated[tuple[Row, ...], _as_tuple, Field(min_length=1)]
    reference: str
    published: Annotated[PublishedKeys, _as_tuple] = ()
    """Systems to print below the table, without a row of ours."""
    measure: Literal["map", "recall", "content"] = "map"
    """Figures that the table shows; see `tables.MEASURES`."""
    disagreement: str = ""
    """Why our order may differ from the published one; printed if it does."""

    @model_validator(mode="after")
    def _labels(self) -> Table:
        labels = [row.label for row in self.rows]
        _refuse_repeats("label", labels)
        if self.reference not in labels:
            raise ValueError(
                f"reference {shown(self.reference)} is not a row; rows: {', '.join(labels)}"
            )
        for row in self.rows:
            if (row.settings.method.name == CONTENT_BASED) != (self.measure == "content"):
                raise ValueError(
                    f"{shown(row.label)}: rows of {CONTENT_BASED}, and no others, belong in tables "
                    'with measure = "content"'
                )
        return self


class Grid(_Strict):
    """All tables of a study and the seeds of every row."""

    name: Identifier
    title: Name
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], _as_tuple, Field(min_length=1)
    ]
    tables: Annotated[tuple[Table, ...], _as_tuple, Field(min_length=1)]

    @model_validator(mode="after")
    def _unique(self) -> Grid:
        _refuse_repeats("table id", [table.id for table in self.tables])
        _refuse_repeats("seed", [str(seed) for seed in self.seeds])
        return self


def _refuse_repeats(what: str, values: list[str]) -> None:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"each {what} may occur only once; repeated: {', '.join(repeated)}")


def read_grid(path: str | Path, *, nested: bool = False) -> Grid:
    """Read a grid file.

    A grid has `name`, `title`, `seeds`, `defaults` and `tables`. A table has `id`, `title`,
    `reference` and `rows`, and optionally `defaults`, `published`, `measure` and `disagreement`.
    A row has `label`, the fields of `Settings`, and optionally `published`. Fields missing in a
    row come from the defaults of its table, then from those of the grid. A table without rows
    uses the `rows` of the grid.

    Args:
        path: TOML file.
        nested: read the grid `<name>-nested` instead: the same defaults with the title, the seeds
            and the tables of the file's `[nested]`.

    Raises:
        CMRError: the file cannot be read or is invalid; the message names the place.
    """
    source = Path(path)
    try:
        content = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CMRError(f"there is no grid file {source}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CMRError(f"{source} cannot be read as TOML: {error}") from error
    own = content.pop("nested", None)
    if nested:
        if not isinstance(own, dict):
            raise CMRError(f"{source} has no [nested] table: add one, or leave out --nested")
        content |= {**own, "name": f"{content.get('name')}{NESTED}"}
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
    """Return the content with the defaults filled into every row, as `Grid` expects it."""
    grid = dict(content)
    defaults = _settings_of(grid.pop("defaults", {}), "defaults")
    shared = grid.pop("rows", None)
    tables = []
    for number, given in enumerate(_list_of_tables(grid.get("tables"), "tables")):
        place = f"tables[{number}]"
        table = dict(given)
        table_defaults = defaults | _settings_of(table.pop("defaults", {}), f"{place}.defaults")
        where = f"{place}.rows" if "rows" in table else "rows"
        rows = _list_of_tables(table.get("rows", shared), where)
        table["rows"] = [_row(row, table_defaults) for row in rows]
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
    """Return the place of a value in the file, e.g. `tables[1].rows[2] ('MMD').method`."""
    path = [part for part in location if part not in ("settings", "options")]
    if path[2:3] == ["rows"] and len(path) > 4:
        path = _where_given(content, path)
    text = ""
    node: Any = content
    for part in path:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            node = None
        if isinstance(part, int):
            label = node.get("label", node.get("id")) if isinstance(node, dict) else None
            text += f"[{part}]" + (f" ({label!r})" if label else "")
        else:
            text += f".{part}" if text else part
    return text or "the file"


def _where_given(content: dict[str, Any], path: list[int | str]) -> list[int | str]:
    """Return the path of a row's field: in the row itself, or in the defaults."""
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
        return "is missing here and in the defaults"
    return str(problem["msg"]).removeprefix("Value error, ")
