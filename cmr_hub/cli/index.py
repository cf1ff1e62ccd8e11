"""Define the command `cmr index`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmr_hub.cli.options import AllowDownload, Backend, Device, Int8, ModelOption, console
from cmr_hub.errors import CMRError, DataNotFoundError, QueryError
from cmr_hub.gallery.milvus_server import (
    CA_VARIABLE,
    DEFAULT_COLLECTION,
    TOKEN_VARIABLE,
    MilvusAddress,
)

if TYPE_CHECKING:
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.models.cross_modal import CrossModalModel


class Engine(StrEnum):
    """Where a gallery is stored and searched."""

    LOCAL = "local"
    MILVUS = "milvus"


class Cluster(StrEnum):
    """Where pictures are decoded and encoded."""

    RAY = "ray"


def index(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder of pictures and videos, or a dataset on the Hub: hf:OWNER/NAME or "
            "hf:OWNER/NAME@REVISION."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Directory of the gallery, new or existing.")
    ] = None,
    model: ModelOption = None,
    device: Device = "auto",
    allow_download: AllowDownload = False,
    backend: Backend = "auto",
    int8: Int8 = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that decode pictures; on a cluster, the maximum number of encoders. "
            "Default: one for every two cores.",
        ),
    ] = None,
    cluster: Annotated[
        Cluster | None,
        typer.Option(help="Decode and encode on the cluster in RAY_ADDRESS."),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="Store the gallery in a directory or in a Milvus server.")
    ] = Engine.LOCAL,
    uri: Annotated[
        str | None,
        typer.Option(help="Address of the Milvus server: http://HOST:19530, https:// for TLS."),
    ] = None,
    collection: Annotated[
        str, typer.Option(help="Collection in the Milvus server.")
    ] = DEFAULT_COLLECTION,
    token: Annotated[
        str, typer.Option(envvar=TOKEN_VARIABLE, help="Token of the Milvus server: USER:PASSWORD.")
    ] = "",
    log: Annotated[
        Path | None,
        typer.Option(help="Write what was passed over to this file: path, tab, reason."),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(envvar=CA_VARIABLE, help="Certificates to trust if the server signs its own."),
    ] = None,
    metadata: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Table of captions, labels and other columns, or annotations of COCO or FiftyOne, "
            "wherever it is. Can be repeated.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Leave out files and folders, as in a .gitignore: `*.png`, `thumbs/`, "
            "`2019/**/raw`. Can be repeated.",
        ),
    ] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links to other folders.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Also remove the pictures of folders that are gone or became empty."
        ),
    ] = False,
    restore: Annotated[
        bool,
        typer.Option("--restore", help="Add what `cmr gallery remove` removed from this folder."),
    ] = False,
    ocr: Annotated[
        bool,
        typer.Option(
            "--ocr",
            help="Read the text in pictures, also in those that are in the gallery already.",
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Keep the gallery current until Ctrl-C."),
    ] = False,
) -> None:
    """Create a gallery of your pictures and videos, or update it.

    All folders are read except hidden ones. Of a video, its scenes are the pictures. Captions,
    labels and other columns come from metadata.jsonl, .json, .csv, .tsv or .parquet (in the format
    of Hugging Face's ImageFolder), from name.txt or name.json next to name.jpg, and from WebDataset
    shards (.tar). Unchanged pictures are not encoded again, nor those that moved, even with their
    whole folder. Ctrl-C keeps finished work.
    """
    from cmr_hub.gallery.indexing.hub import fetch_dataset
    from cmr_hub.gallery.indexing.index import index_folder
    from cmr_hub.loading import load

    where: Path | MilvusAddress
    match engine, out, uri:
        case Engine.LOCAL, Path(), None:
            where = out
        case Engine.MILVUS, None, str():
            where = MilvusAddress(uri, collection, token, ca)
        case _:
            raise QueryError(
                "say where to store the gallery: --out DIRECTORY, or "
                "--engine milvus --uri http://HOST:19530"
            )
    is_on_hub = source.startswith("hf:")
    folder = fetch_dataset(source[3:]) if is_on_hub else Path(source)
    if not folder.is_dir() and not prune:
        raise DataNotFoundError(f"{folder} is not a folder; give a folder of pictures")
    name = _model_of(where) if model is None else model
    loaded = load(name, device=device, allow_download=allow_download, backend=backend, int8=int8)
    if loaded.text.has_encoder:
        # Load and, if needed, export the text encoder now, so that the first search is fast.
        _ = loaded.text.required_encoder

    def update() -> None:
        with _discard_if_empty(where):
            gallery = _gallery(where, loaded)
            summary = index_folder(
                gallery,
                folder,
                workers=workers,
                cluster=None if cluster is None else "ray",
                metadata=metadata or (),
                exclude=exclude or (),
                follow_links=follow_links,
                prune=prune or is_on_hub,  # a revision is complete: no drive can be missing
                restore=restore,
                ocr=ocr,
                log=log,
                progress=True,
            )
            _say(summary.text())
            if summary.pictures and not len(gallery) and not summary.left_out:
                raise CMRError(f"nothing was indexed: none of the pictures in {folder} can be read")
        search = "" if watch else f'. Now try: cmr search {where} "two dogs on a beach"'
        _say(f"{len(gallery):,} items in {where}{search}")

    if not watch:
        update()
        return
    from cmr_hub.gallery.indexing.watch import keep_current

    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay as they are
    _say(f"watching {folder} until Ctrl-C")
    ignored = None if out is None else out.absolute()
    keep_current(folder, update, lambda error: _say(f"cmr: error: {error}"), ignored)
    _say("stopped watching; the gallery is complete")


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


@contextmanager
def _discard_if_empty(where: Path | MilvusAddress) -> Iterator[None]:
    """Remove a new gallery if indexing ends, by an error or Ctrl-C, before it has an item."""
    from cmr_hub.gallery.local import LocalStore
    from cmr_hub.gallery.manifest import holds_gallery

    is_new = isinstance(where, Path) and not holds_gallery(where)
    folder_existed = isinstance(where, Path) and where.exists()
    try:
        yield
    finally:
        if isinstance(where, Path) and is_new and holds_gallery(where):
            store = LocalStore.open(where)
            if not len(store):
                store.discard(keep_folder=folder_existed)


def _model_of(where: Path | MilvusAddress) -> str | None:
    """Return the model of an existing gallery, or None."""
    from cmr_hub.gallery.manifest import Manifest, holds_gallery

    if isinstance(where, Path) and holds_gallery(where):
        return Manifest.read(where).model_name
    return None


def _gallery(where: Path | MilvusAddress, loaded: CrossModalModel) -> Gallery:
    """Open the gallery, or create it."""
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.gallery.manifest import holds_gallery

    if isinstance(where, MilvusAddress):
        from cmr_hub.gallery.milvus import MilvusStore

        return Gallery(MilvusStore(where, loaded.fingerprint, loaded.source), loaded)
    if holds_gallery(where):
        return Gallery.open(where, loaded)
    return Gallery.create(where, loaded, model_name=loaded.source)
