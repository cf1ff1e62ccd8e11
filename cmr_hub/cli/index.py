"""Define the command `cmr index`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cmr_hub.cli.options import AllowDownload, Backend, Device, Int8, ModelOption, say
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
        Literal["ray"] | None,
        typer.Option(help="Decode and encode on the cluster in RAY_ADDRESS."),
    ] = None,
    engine: Annotated[
        Literal["local", "milvus"],
        typer.Option(help="Store the gallery in a directory or in a Milvus server."),
    ] = "local",
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
        typer.Option(help="Write skipped files to this file: path, tab, reason."),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            envvar=CA_VARIABLE,
            help="Trusted certificates, if the certificate of the server is self-signed.",
        ),
    ] = None,
    metadata: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Table of captions, labels and other columns, or COCO or FiftyOne annotations, in "
            "any folder. Can be repeated.",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Exclude files and folders, as in a .gitignore file: `*.png`, `thumbs/`, "
            "`2019/**/raw`. Can be repeated.",
        ),
    ] = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links to other folders.")
    ] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Also remove the pictures of folders that are missing or empty."
        ),
    ] = False,
    restore: Annotated[
        bool,
        typer.Option(
            "--restore", help="Add pictures of this folder that `cmr gallery remove` removed."
        ),
    ] = False,
    ocr: Annotated[
        bool,
        typer.Option(
            "--ocr",
            help="Read the text in pictures, including pictures that are already in the gallery.",
        ),
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Update the gallery after changes, until Ctrl-C."),
    ] = False,
) -> None:
    """Create a gallery of your pictures and videos, or update it.

    All folders are read except hidden ones. A video is indexed by one picture per scene. Captions,
    labels and other columns come from metadata.jsonl, .json, .csv, .tsv or .parquet (in the format
    of Hugging Face's ImageFolder), from name.txt or name.json next to name.jpg, and from WebDataset
    shards (.tar). Unchanged and moved pictures are not encoded again. Ctrl-C keeps finished work.
    """
    from cmr_hub.gallery.indexing.hub import fetch_dataset
    from cmr_hub.gallery.indexing.index import index_folder
    from cmr_hub.loading import load

    where: Path | MilvusAddress
    match engine, out, uri:
        case "local", Path(), None:
            where = out
        case "milvus", None, str():
            where = MilvusAddress(uri, collection, token, ca)
        case _:
            raise QueryError(
                "give the storage of the gallery: --out DIRECTORY, or "
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
                cluster=cluster,
                metadata=metadata or (),
                exclude=exclude or (),
                follow_links=follow_links,
                prune=prune or is_on_hub,  # a revision is complete, so no drive can be missing
                restore=restore,
                ocr=ocr,
                log=log,
                progress=True,
            )
            say(summary.text())
            if summary.pictures and not len(gallery) and not summary.left_out:
                raise CMRError(f"nothing was indexed: no picture in {folder} can be read")
        search = "" if watch else f'. Now try: cmr search {where} "two dogs on a beach"'
        say(f"{len(gallery):,} items in {where}{search}")

    if not watch:
        update()
        return
    from cmr_hub.gallery.indexing.watch import keep_current

    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - keeps links
    say(f"watching {folder} until Ctrl-C")
    ignored = None if out is None else out.absolute()
    keep_current(folder, update, lambda error: say(f"cmr: error: {error}"), ignored)
    say("stopped watching; the gallery is up to date")


@contextmanager
def _discard_if_empty(where: Path | MilvusAddress) -> Iterator[None]:
    """Remove a new gallery that has no items after an error or Ctrl-C."""
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
    """Return the model name of an existing local gallery; otherwise None."""
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
