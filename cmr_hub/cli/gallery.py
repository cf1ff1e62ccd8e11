"""Define the commands `cmr gallery`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Column, Table

from cmr_hub.cli.options import AllowDownload, GalleryName, console, say
from cmr_hub.cli.terminal import cell, json_text
from cmr_hub.errors import QueryError

app = typer.Typer(help="Show, verify and change a gallery.", no_args_is_help=True)


@app.command()
def info(gallery: GalleryName) -> None:
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
def verify(gallery: GalleryName) -> None:
    """Read all files of a gallery and compare them with their checksums."""
    from cmr_hub.datasets.images import picture_exists
    from cmr_hub.loading import open_store

    store = open_store(gallery)
    store.verify()
    paths = store.table().column("path").to_pylist()
    missing = sum(path is not None and not picture_exists(Path(path)) for path in paths)
    say(f"{gallery} is intact: {len(store):,} items")
    if missing:
        say(f"{missing:,} pictures no longer exist: run `cmr index` again")


@app.command()
def compact(gallery: GalleryName) -> None:
    """Free the disk space of removed rows."""
    from cmr_hub.loading import open_store

    store = open_store(gallery)
    store.compact(progress=True)
    say(f"{gallery} is compact: {len(store):,} items")


@app.command()
def remove(
    gallery: GalleryName,
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of the items to remove.")] = None,
    where: Annotated[
        str | None,
        typer.Option(help="Remove items that match a condition, e.g. \"folder LIKE 'old%'\"."),
    ] = None,
) -> None:
    """Remove items from a gallery.

    The picture files are kept. `cmr index` skips them unless `--restore` is given.
    """
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.loading import open_store

    if not ids and where is None:
        raise QueryError("give the items to remove: ids, or a condition with --where")
    opened = Gallery(open_store(gallery))
    removed = opened.remove(ids or (), where=where)
    say(f"{removed:,} removed, {len(opened):,} left")


@app.command()
def duplicates(
    gallery: GalleryName,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="same-bytes, same-picture or alike. Can be repeated. Default: all."),
    ] = None,
    alike: Annotated[
        float | None,
        typer.Option(help="Minimum similarity of pictures that are alike, e.g. 0.9."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    contact_sheet: Annotated[
        Path | None, typer.Option(help="Write the groups as a page to this file.")
    ] = None,
) -> None:
    """List duplicates: identical files, copies of a picture, and pictures that are alike.

    A copy may be smaller, brighter or in another format. Nothing is removed.
    """
    from cmr_hub.gallery.duplicates import ALIKE, KINDS, facts_of, not_compared
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.loading import open_store

    opened = Gallery(open_store(gallery))
    kinds = tuple(name.replace("-", " ") for name in kind or KINDS)
    groups = opened.duplicates(kinds, alike=ALIKE if alike is None else alike, progress=True)
    missing = not_compared(opened.items)
    note = (
        f"{missing:,} pictures were indexed by an earlier version and are only compared by vector: "
        "run `cmr index` again"
    )
    notes = [note] if missing else []
    if contact_sheet is not None:
        from cmr_hub.atomic import atomic_file
        from cmr_hub.gallery.contact_sheet import duplicates_sheet

        with atomic_file(contact_sheet) as file:
            page = duplicates_sheet(groups, f"Duplicates in {gallery}", notes)
            file.write_text(page, encoding="utf-8")
    if as_json:
        typer.echo(json_text([group.record() for group in groups]))
        return
    counts = Counter[str](group.kind for group in groups)
    if contact_sheet is None and groups:
        table = Table("", "kind", "pixels", "size", "date", Column("path", overflow="fold"))
        for number, group in enumerate(groups, 1):
            for hit in group.hits:
                facts = [cell(fact) for fact in facts_of(hit)]
                table.add_row(str(number), group.kind, *facts, cell(hit.file or hit.id, None))
            table.add_section()
        console.print(table, highlight=False)
    found = ", ".join(f"{counts[one]:,} {one}" for one in kinds)
    written = "" if contact_sheet is None else f"; they are shown in {contact_sheet}"
    for line in (f"groups: {found}{written}", *notes):
        say(line)


@app.command()
def export(
    gallery: GalleryName,
    out: Annotated[
        Path,
        typer.Option(help="File (.parquet, .csv or .npz) or new folder (.lance, or for FiftyOne)."),
    ],
    format: Annotated[
        Literal["parquet", "csv", "npz", "fiftyone", "lance"] | None,
        typer.Option(help="Format of the file. Default: by its extension."),
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Condition on the columns, e.g. \"label = 'dog'\".")
    ] = None,
) -> None:
    """Write items with captions, labels, columns and vectors to a file for other programs.

    LanceDB tables need the package pylance.
    """
    from cmr_hub.gallery.exchange import export_gallery
    from cmr_hub.loading import open_store

    count = export_gallery(open_store(gallery), out, format, where=where)
    say(f"{count:,} items in {out}")


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(help="Vectors: .parquet, .npz or .lance with a column id, or .npy."),
    ],
    out: Annotated[Path, typer.Option(help="New directory for the gallery.")],
    model: Annotated[
        str, typer.Option(help="Model that made the vectors; named as for `cmr index`.")
    ],
    ids: Annotated[
        Path | None, typer.Option(help="File with one id per line, for the rows of .npy.")
    ] = None,
    allow_download: AllowDownload = False,
) -> None:
    """Create a gallery from vectors that another program computed with the same model."""
    from cmr_hub.gallery.exchange import import_vectors
    from cmr_hub.loading import load

    loaded = load(model, allow_download=allow_download)
    gallery = import_vectors(file, out, loaded, ids=ids, model_name=loaded.source)
    say(f'{len(gallery):,} items in {out}. Now try: cmr search {out} "two dogs on a beach"')
