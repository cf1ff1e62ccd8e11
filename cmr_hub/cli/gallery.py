"""`cmr gallery`: looking after a gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cmr_hub.cli.options import console
from cmr_hub.errors import QueryError

app = typer.Typer(help="Looks after a gallery.", no_args_is_help=True)

Directory = Annotated[Path, typer.Argument(help="A gallery's directory.")]


@app.command()
def info(directory: Directory) -> None:
    """Says what is in a gallery."""
    from cmr_hub.gallery.local import LocalStore
    from cmr_hub.gallery.manifest import Manifest

    store, manifest = LocalStore.open(directory), Manifest.read(directory)
    table = Table(show_header=False)
    vectors = ", ".join(f"{count:,} {name}" for name, count in store.vector_counts.items())
    engines = ", ".join(
        f"{name}: {'graph' if name in manifest.graphs else 'exact'}" for name in manifest.vectors
    )
    size = sum(path.stat().st_size for path in directory.iterdir() if path.is_file())
    for name, value in {
        "items": f"{len(store):,}",
        "vectors": f"{vectors or 'none'}, {store.dim or 0} numbers each",
        "search": engines or "nothing to search",
        "columns": ", ".join(store.table().column_names),
        "model": f"{store.model_name or 'not noted'}, {store.model_id}",
        "on disk": f"{size / 2**20:,.1f} MiB in {len(manifest.segments)} parts",
        "removed": f"{store.removed:,} rows that `cmr gallery compact` would free",
    }.items():
        table.add_row(name, value)
    console.print(table, highlight=False)


@app.command()
def verify(directory: Directory) -> None:
    """Reads every file and compares it with its checksum and with the others."""
    from cmr_hub.gallery.local import LocalStore

    store = LocalStore.open(directory)
    store.verify()
    paths = store.table().column("path").to_pylist()
    missing = sum(path is not None and not _is_there(Path(path)) for path in paths)
    console.print(f"{directory} is whole: {len(store):,} items", highlight=False)
    if missing:
        console.print(
            f"{missing:,} pictures are no longer where they were: run `cmr index` again",
            highlight=False,
        )


@app.command()
def compact(directory: Directory) -> None:
    """Frees the place of removed rows and makes one part of many."""
    from cmr_hub.gallery.local import LocalStore

    store = LocalStore.open(directory)
    freed = store.removed
    store.compact(progress=True)
    console.print(f"{len(store):,} items; {freed:,} removed rows freed", highlight=False)


@app.command()
def remove(
    directory: Directory,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of items.")] = None,
    where: Annotated[
        str | None, typer.Option(help="A condition on the columns, e.g. \"folder LIKE 'old%'\".")
    ] = None,
) -> None:
    """Removes items from a gallery; the pictures themselves stay."""
    from cmr_hub.gallery.gallery import Gallery

    if not ids and where is None:
        raise QueryError("say what to remove: ids, or --where with a condition")
    gallery = Gallery.open(directory)
    removed = gallery.remove(ids or (), where=where)
    console.print(f"{removed:,} removed, {len(gallery):,} left", highlight=False)


def _is_there(path: Path) -> bool:
    shards = (parent for parent in path.parents if parent.suffix == ".tar")
    return path.exists() or any(shard.is_file() for shard in shards)
