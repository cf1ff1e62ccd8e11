"""Define the command `cmr models`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Column, Table

from cmr_hub.cli.options import AllowDownload, Device, console, say
from cmr_hub.cli.terminal import json_text
from cmr_hub.errors import CMRError, shown

if TYPE_CHECKING:
    from cmr_hub.experiments.speed import EncodingSpeed
    from cmr_hub.models.catalogue import CatalogueEntry

_NOT_STATED = "not stated"


def models(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Show the details of these models. With --measure, model directories and "
            "Hub repositories work too.",
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Load each model and time it.")
    ] = False,
    batch: Annotated[int, typer.Option(min=1, help="With --measure: batch size.")] = 32,
    turns: Annotated[int, typer.Option(min=1, help="With --measure: number of rounds.")] = 5,
    threads: Annotated[
        int | None, typer.Option(min=1, help="With --measure: number of CPU threads.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Device = "auto",
    allow_download: AllowDownload = False,
) -> None:
    """List the pretrained models that have a short name, or time models on this machine."""
    if measure:
        if not names:
            raise CMRError("name the models to measure: cmr models --measure NAME...")
        load_options = {"device": device, "allow_download": allow_download}
        _measure(names, load_options, batch, turns, threads, as_json)
        return
    from cmr_hub.models.catalogue import list_models

    entries = [_entry(name) for name in names] if names else list_models()
    if as_json:
        typer.echo(json_text([entry.model_dump(mode="json") for entry in entries]))
    elif names:
        for entry in entries:
            say(_details(entry))
    else:
        console.print(_overview(entries), highlight=False)
        console.print(
            "COCO: published zero-shot Recall@1 from text to image. "
            "`cmr models NAME` shows the sources.",
            highlight=False,
        )


def _entry(name: str) -> CatalogueEntry:
    from cmr_hub.models.catalogue import list_models, resolve, suggestions

    entry = resolve(name)
    if entry is None:
        if near := suggestions(name):
            advice = f"did you mean {' or '.join(near)}?"
        else:
            advice = f"choose one of: {', '.join(model.name for model in list_models())}"
        raise CMRError(f"no pretrained model has the short name {shown(name)}; {advice}")
    return entry


def size_text(count: int) -> str:
    """Format bytes as decimal megabytes or gigabytes.

    Example:
        >>> size_text(1_539_458_338)
        '1.54 GB'
    """
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _overview(entries: list[CatalogueEntry]) -> Table:
    table = Table(
        Column("name", no_wrap=True),
        Column("for", overflow="fold"),
        *(Column(name, overflow="fold") for name in ("download", "dim", "languages", "licence")),
        "COCO",
    )
    for entry in entries:
        figure = entry.figure()
        table.add_row(
            entry.name,
            entry.purpose,
            _NOT_STATED if entry.download is None else size_text(entry.download.value),
            _NOT_STATED if entry.dimension is None else str(entry.dimension.value),
            _NOT_STATED if entry.languages is None else entry.languages.value,
            _NOT_STATED if entry.licence is None else entry.licence.value,
            _NOT_STATED if figure is None else f"{figure.value:.3f}",
        )
    return table


def _details(entry: CatalogueEntry) -> str:
    """Return a line for each fact, followed by a line with the URL of the source."""
    facts = [("repository", f"{entry.repository}, {entry.library}", entry.listed)]
    if (size := entry.download) is not None:
        text = f"{size_text(size.value)}{_in_brackets(size.note)}"
        facts.append(("download", text, size.source))
    for label, fact in (
        ("dimension", entry.dimension),
        ("languages", entry.languages),
        ("licence", entry.licence),
    ):
        if fact is not None:
            facts.append((label, f"{fact.value}{_in_brackets(fact.note)}", fact.source))
    for figure in entry.figures:
        label = f"{figure.dataset}, {figure.direction}, {figure.metric}"
        text = f"{figure.value:.3f}{_in_brackets(figure.protocol)}"
        facts.append((label, text, figure.source))
    lines = (f"  {label}: {text}\n    {source}" for label, text, source in facts)
    return "\n".join([f"{entry.name}: {entry.purpose}", *lines])


def _in_brackets(note: str) -> str:
    return f" ({note})" if note else ""


def _measure(
    names: list[str],
    load_options: dict[str, Any],
    batch: int,
    turns: int,
    threads: int | None,
    as_json: bool,
) -> None:
    from cmr_hub.experiments.speed import PICTURE_SIZE, measure_encoding
    from cmr_hub.loading import load

    speeds: dict[str, EncodingSpeed] = {}
    for name in names:
        model = load(name, **load_options)
        speeds[name] = measure_encoding(model, batch=batch, turns=turns, threads=threads)
    if as_json:
        records = [{"model": name, **asdict(speed)} for name, speed in speeds.items()]
        typer.echo(json_text(records))
        return
    table = Table(
        Column("ms per item", overflow="fold"),
        "a picture",
        f"one of {batch} pictures",
        "a sentence",
        f"one of {batch} sentences",
    )
    for name, speed in speeds.items():
        seconds = (
            *(speed.picture_alone, speed.picture_in_batch),
            *(speed.sentence_alone, speed.sentence_in_batch),
        )
        table.add_row(name, *(f"{1000 * value:.2f}" for value in seconds))
    console.print(table, highlight=False)
    width, height = PICTURE_SIZE
    used = next(iter(speeds.values())).threads
    console.print(
        f"Median of {turns} rounds on {used} {'thread' if used == 1 else 'threads'}; decoded "
        f"pictures of {width} × {height} pixels.",
        highlight=False,
    )
