"""`cmr index`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cmr_hub.cli.options import console
from cmr_hub.errors import DataNotFoundError


def index(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of pictures, or a dataset of the Hub: hf:OWNER/NAME or "
            "hf:OWNER/NAME@REVISION."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The gallery's directory; may be there already.")],
    model: Annotated[
        str, typer.Option(help="A model directory, or the name of a release.")
    ] = "default",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that decode pictures; by default one for two cores."),
    ] = None,
) -> None:
    """Makes a gallery of your own pictures, or brings it up to date.

    Looks into all folders but hidden ones. Captions, labels and other columns come from
    metadata.jsonl, .csv or .parquet (as Hugging Face's ImageFolder has them), from name.txt or
    name.json beside name.jpg, and from WebDataset shards (.tar). Pictures that are as they were
    are not encoded again. Ctrl-C keeps what is done.

    Example: `cmr index ~/Pictures --out gallery`
    """
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.gallery.indexing.hub import fetch_dataset
    from cmr_hub.gallery.indexing.index import index_folder
    from cmr_hub.gallery.manifest import FILE_NAME
    from cmr_hub.loading import load, model_name

    folder = fetch_dataset(source[3:]) if source.startswith("hf:") else Path(source)
    if not folder.is_dir():
        raise DataNotFoundError(f"{folder} is not a folder; name one that holds pictures")
    loaded = load(model)
    if (out / FILE_NAME).exists():
        gallery = Gallery.open(out, loaded)
    else:
        gallery = Gallery.create(out, loaded, model_name=model_name(model))
    summary = index_folder(gallery, folder, workers=workers, progress=True)
    console.print(summary.text(), highlight=False, soft_wrap=True)
    console.print(
        f'{len(gallery):,} items in {out}. Now try: cmr search {out} "two dogs on a beach"',
        highlight=False,
        soft_wrap=True,
    )
