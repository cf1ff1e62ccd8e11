"""Read the figures for a model card from the training record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final

from cmr_hub.models.card_data import about

if TYPE_CHECKING:
    from cmr_hub.types import JSONObject

_MAP: Final = {
    "map_i2t": "MAP@all image→text",
    "map_t2i": "MAP@all text→image",
    "map_avg": "MAP@all, mean of both",
}
_CUTS: Final = (1, 5, 10)


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        dataset, protocol, split: the data that it was measured on.
        kind: type of the metric on the Hub: `map` or `recall`.
        name: name of the metric.
        pictures: number of pictures in the gallery, if the record has it.
        value: value for this model's weights.
        spread: values of all seeds, including the seed of this model.
        zero_shot: whether it was measured on the features before training.
    """

    dataset: str
    protocol: str
    split: str
    kind: str
    name: str
    value: float
    pictures: int | None = None
    spread: tuple[float, ...] = ()
    zero_shot: bool = False

    @property
    def metric(self) -> str:
        """The name with the protocol and the number of pictures."""
        return ", ".join([self.name, self.protocol, *self._count])

    @property
    def place(self) -> tuple[str, str]:
        """The data and the protocol, which identify a row of the table."""
        before = ["zero-shot (before training)"] if self.zero_shot else []
        return ", ".join([self.dataset, self.split, *self._count, *before]), self.protocol

    @property
    def _count(self) -> list[str]:
        return [] if self.pictures is None else [f"{self.pictures:,} pictures"]

    @property
    def shown(self) -> str:
        """The formatted value: `.664`, or `.665 ± .003` over seeds."""
        if len(self.spread) > 1:
            return f"{_short(fmean(self.spread))} ± {_short(stdev(self.spread))}"
        return _short(self.value)


def figures(training: JSONObject, seeds: Sequence[JSONObject] = ()) -> list[Figure]:
    """Return the figures of `cmr train` (one dataset) or of a release (several, in "figures").

    Args:
        training: training record of a model.
        seeds: records of the same run with all its seeds.

    Raises:
        KeyError, TypeError, ValueError: the record has another format.
    """
    if "figures" in training:
        return [
            figure
            for dataset, measured in training["figures"].items()
            for figure in _release_figures(dataset, measured)
        ]
    return list(_run_figures(training, seeds)) if "map_i2t" in training else []


def zero_shot_figures(training: JSONObject, seeds: Sequence[JSONObject] = ()) -> list[Figure]:
    """Return the figures of the features before training; empty if the record has none."""
    if not training.get("zero_shot"):
        return []
    before = [
        {key: record[key] for key in ("dataset", "protocol")} | record["zero_shot"]
        for record in (training, *seeds)
    ]
    return [replace(figure, zero_shot=True) for figure in _run_figures(before[0], before[1:])]


def as_table(figures: Sequence[Figure]) -> list[list[str]]:
    """Return the cells of a table with a header, a row per place and a column per metric."""
    names = list(dict.fromkeys(figure.name for figure in figures))
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for figure in figures:
        rows.setdefault(figure.place, {})[figure.name] = figure.shown
    return [
        ["on", "protocol", *names],
        *([*place, *(cells.get(name, "") for name in names)] for place, cells in rows.items()),
    ]


def _run_figures(record: JSONObject, seeds: Sequence[JSONObject]) -> Iterator[Figure]:
    dataset, protocol = record["dataset"], record["protocol"]
    for key, name in _MAP.items():
        if record[key] is None:  # no relevant items
            continue
        yield Figure(
            about(dataset).title,
            protocol,
            "test",
            "map",
            name,
            float(record[key]),
            spread=tuple(float(other[key]) for other in seeds),
        )


def _release_figures(dataset: str, measured: JSONObject) -> Iterator[Figure]:
    place = about(dataset).title, measured["protocol"], measured["split"]
    count = int(measured["pictures"])
    for cut in _CUTS:
        value = float(measured["sentences"][f"recall_at_{cut}"])
        yield Figure(*place, "recall", f"Recall@{cut} text→image", value, count)
    for key, name in _MAP.items():
        if key in measured:
            yield Figure(*place, "map", name, float(measured[key]), count)


def _short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
