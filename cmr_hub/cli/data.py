"""Define the commands `cmr data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Column, Table
from typer.core import TyperGroup

from cmr_hub.cli.options import Protocol, Root, console, say
from cmr_hub.datasets import DATASETS, dataset_names, load_dataset
from cmr_hub.errors import CMRError, DataNotFoundError


class _DataGroup(TyperGroup):
    """A group in which `cmr data NAME` is short for `cmr data show NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as `TyperGroup`, after inserting `show` if there is no command."""
        is_named = args and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, list(args) if is_named else ["show", *args])


app = typer.Typer(
    cls=_DataGroup, help="List, check and fetch datasets. `cmr data NAME` is `cmr data show NAME`."
)


@app.command()
def show(
    name: Annotated[
        str | None, typer.Argument(help="Name of a dataset. Default: list all.")
    ] = None,
    root: Root = None,
    protocol: Protocol = None,
) -> None:
    """List the available datasets, or read one and report its contents and problems."""
    if name is None:
        table = Table("dataset", Column("found", overflow="fold"))
        for dataset_name in dataset_names():
            table.add_row(dataset_name, _location(dataset_name))
        console.print(table)
        console.print("Datasets are searched for in $CMR_DATA_HOME/<name>, or in --root.")
        return
    dataset = load_dataset(name, root, protocol)
    console.print(
        f"{dataset.name}, protocol {dataset.protocol}: {len(dataset)} items", style="bold"
    )
    table = Table("split", "items", "classes")
    for split in dataset.split_names:
        part = dataset.split(split)
        labels = part.labels[part.labelled]
        count = labels.any(axis=0).sum() if labels.ndim == 2 else len(np.unique(labels))
        table.add_row(split, str(len(part)), str(count))
    console.print(table)
    console.print(dataset.report.summary() if len(dataset.report) else "No problems were found.")


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="Name of a dataset.")],
    to: Annotated[
        Path | None,
        typer.Option(help="New folder for the dataset. Default: $CMR_DATA_HOME/NAME."),
    ] = None,
) -> None:
    """Download a dataset from its authors, or explain where to get it and how to arrange it.

    Run the command again to resume an interrupted download. Datasets that require a form or a login
    are not downloaded.
    """
    from cmr_hub.datasets.fetch import SOURCES, default_folder, fetch_dataset

    if (package := DATASETS.package_of(name)) is not None:
        raise CMRError(f"{name} comes with the package {package}: there is nothing to download")
    if name not in SOURCES:
        # The error of the reader describes the expected files and their source.
        load_dataset(name, default_folder(name) if to is None else to, check_images=False)
        raise CMRError(f"{name} already exists, and cannot be downloaded")
    folder = default_folder(name) if to is None else to
    is_verified = fetch_dataset(name, folder, progress=True)
    checksums = "" if is_verified else " It was not verified, because its checksum is not known."
    say(f"Wrote {folder}.{checksums}")
    show(name, folder)


def _location(name: str) -> str:
    if name == "folder":
        return "any ImageFolder with metadata.jsonl, .json, .csv, .tsv or .parquet (--root)"
    if name == "features":
        return "any .npz, .mat, .h5 or .parquet of features (--root)"
    package = DATASETS.package_of(name)
    if package is not None:  # not loaded, because the reader may download files or be slow
        return f"in the package {package}"
    try:
        load_dataset(name, check_images=False)
    except DataNotFoundError:
        return "no"
    except CMRError as error:
        return f"damaged: {error}"
    return "yes"
