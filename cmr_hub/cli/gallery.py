"""Define the commands `cmr gallery`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from cmr_hub.cli.options import console
from cmr_hub.cli.terminal import cell
from cmr_hub.errors import QueryError

app = typer.Typer(help="Show, verify and change a gallery.", no_args_is_help=True)

Name = Annotated[
    str, typer.Argument(help="Directory of the gallery, or http://HOST:PORT/COLLECTION in Milvus.")
]


@app.command()
def info(gallery: Name) -> None:
    """Show the contents of a gallery."""
    from cmr_hub.loading import open_store

    store = open_store(gallery)
    vectors = ", ".join(f"{count:,} {name}" for name, count in store.vector_counts.items())
    table = Table("", Column(overflow="fold"), show_header=False)
    for name, value in {
        "items": f"{len(store):,}",
        "vectors": f"{vectors}, {store.dim} dimensions" if vectors else "none",
        "model": f"{store.model_name or 'unknown'}, {store.model_id}",
        **store.facts(),
    }.items():
        table.add_row(name, cell(value))
    console.print(table, highlight=False)


@app.command()
def verify(gallery: Name) -> None:
    """Read all files of a gallery and compare them with their checksums."""
    from cmr_hub.loading import open_store

    store = open_store(gallery)
    store.verify()
    paths = store.table().column("path").to_pylist()
    missing = sum(path is not None and not _exists(Path(path)) for path in paths)
    console.print(f"{gallery} is intact: {len(store):,} items", highlight=False, soft_wrap=True)
    if missing:
        console.print(
            f"{missing:,} pictures no longer exist: run `cmr index` again",
            highlight=False,
            soft_wrap=True,
        )


@app.command()
def compact(gallery: Name) -> None:
    """Free the disk space of removed rows."""
    from cmr_hub.loading import open_store

    store = open_store(gallery)
    store.compact(progress=True)
    console.print(f"{gallery} is compact: {len(store):,} items", highlight=False, soft_wrap=True)


@app.command()
def remove(
    gallery: Name,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of the items to remove.")] = None,
    where: Annotated[
        str | None,
        typer.Option(help="Remove items that match a condition, e.g. \"folder LIKE 'old%'\"."),
    ] = None,
) -> None:
    """Remove items from a gallery. The picture files are kept."""
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.loading import open_store

    if not ids and where is None:
        raise QueryError("say what to remove: ids, or --where with a condition")
    opened = Gallery(open_store(gallery))
    removed = opened.remove(ids or (), where=where)
    console.print(f"{removed:,} removed, {len(opened):,} left", highlight=False, soft_wrap=True)


def _exists(path: Path) -> bool:
    shards = (parent for parent in path.parents if parent.suffix == ".tar")
    return path.exists() or any(shard.is_file() for shard in shards)
