"""Define the command `cmr label`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from cmr_hub.cli.options import GalleryName, console, say
from cmr_hub.cli.search import Model
from cmr_hub.cli.terminal import cell
from cmr_hub.errors import DataFormatError, DataNotFoundError, ModelFormatError

_MOST_BYTES = 2**24


def label(
    gallery: GalleryName,
    names: Annotated[
        str,
        typer.Option(help="File with one class name per line; - reads standard input."),
    ],
    template: Annotated[
        list[str] | None,
        typer.Option(
            help="Sentence with {} for the class name. Can be repeated to average the vectors. "
            "Default: 'a photo of {}'."
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            help="Column for the names. Probabilities are written to COLUMN_probability. Default: "
            "zero_shot."
        ),
    ] = None,
    model: Model = None,
    min_probability: Annotated[
        float | None, typer.Option(help="Write null for lower probabilities.")
    ] = None,
) -> None:
    """Classify the pictures of a gallery by class names, without training.

    The stored vectors are compared with the vectors of the names; pictures are not read. Running
    the command again replaces the column. In the file, empty lines and lines that begin with # are
    ignored.
    """
    from cmr_hub.gallery.label import COLUMN
    from cmr_hub.gallery.manifest import holds_gallery
    from cmr_hub.gallery.milvus_server import MilvusAddress
    from cmr_hub.loading import open_gallery
    from cmr_hub.models.zero_shot import TEMPLATE

    classes = read_names(names)
    if not MilvusAddress.is_one(gallery) and not holds_gallery(Path(gallery)):
        raise ModelFormatError(f"there is no gallery in {gallery}; make one with `cmr index`")
    counts = open_gallery(gallery, model).label(
        classes,
        template=template or TEMPLATE,
        column=COLUMN if column is None else column,
        min_probability=min_probability,
        progress=True,
    )
    used = {name: count for name, count in counts.items() if count}
    table = Table(Column("name", overflow="fold"), Column("pictures", justify="right"))
    for name, count in used.items():
        table.add_row("(no name)" if name is None else cell(name), f"{count:,}")
    console.print(table, highlight=False)
    unused = len(counts) - len(used)
    if unused:
        say(f"{unused:,} names are not the best match of any picture")


def read_names(source: str) -> list[str]:
    """Read class names from a file, or from standard input if `source` is `-`.

    Raises:
        DataNotFoundError: the file cannot be read.
        DataFormatError: the content is not UTF-8 text, or is larger than 16 MiB.
    """
    if source == "-":
        content = sys.stdin.buffer.read(_MOST_BYTES + 1)
    else:
        try:
            with Path(source).expanduser().open("rb") as file:
                content = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise DataNotFoundError(f"cannot read the names in {source}: {error}") from error
    if len(content) > _MOST_BYTES:
        raise DataFormatError(f"{source} is too large: a list of names may have at most 16 MiB")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{source} is not UTF-8 text: {error}") from error
    stripped = (line.strip() for line in lines)
    return [line for line in stripped if line and not line.startswith("#")]
