"""`cmr data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from cmr_hub.cli.options import Protocol, Root, console
from cmr_hub.datasets import dataset_names, load_dataset
from cmr_hub.errors import CMRError, DataNotFoundError


def data(
    name: Annotated[
        str | None, typer.Argument(help="A dataset; without it, the list of all.")
    ] = None,
    root: Root = None,
    protocol: Protocol = None,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Of sketches: only draw an overview of all classes here."),
    ] = None,
) -> None:
    """Shows which datasets are here, or reads one and reports what is in it.

    Examples: `cmr data pascal-sentence --protocol 800/100/100`, `cmr data sketches`
    """
    if contact_sheet is not None:
        if name != "sketches":
            raise typer.BadParameter(
                "only sketches have one: cmr data sketches --contact-sheet PNG"
            )
        from cmr_hub.datasets.sketches.contact_sheet import save_contact_sheet

        save_contact_sheet(contact_sheet)
        console.print(f"The overview is in {contact_sheet}.")
        return
    if name is None:
        table = Table("dataset", Column("found", overflow="fold"))
        for known in dataset_names():
            table.add_row(known, _where(known))
        console.print(table)
        console.print("Datasets are looked for under $CMR_DATA_HOME/<name>, or at --root.")
        return
    dataset = load_dataset(name, root, protocol)
    console.print(
        f"{dataset.name}, protocol {dataset.protocol}: {len(dataset)} items", style="bold"
    )
    table = Table("split", "items", "classes")
    for split in dataset.split_names:
        labels = dataset.split(split).labels
        table.add_row(split, str(len(labels)), str(len(set(labels[labels >= 0].tolist()))))
    console.print(table)
    console.print(dataset.report.summary() if len(dataset.report) else "Nothing was left out.")


def _where(name: str) -> str:
    if name == "folder":
        return "any ImageFolder with metadata.jsonl or metadata.csv (--root)"
    if name == "sketches":
        return "drawn when first read"
    try:
        load_dataset(name, check_images=False)
    except DataNotFoundError:
        return "no"
    except CMRError as error:
        return f"damaged: {error}"
    return "yes"
