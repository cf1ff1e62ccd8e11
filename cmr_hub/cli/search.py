"""Define the commands `cmr search` and `cmr demo`."""

from __future__ import annotations

import os
import sys
import tempfile
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

from cmr_hub.cache_home import home
from cmr_hub.cli.options import AllowDownload, AllowHost, Backend, Device, Int8, console
from cmr_hub.cli.terminal import Terminal, cell, json_text
from cmr_hub.errors import QueryError
from cmr_hub.paths import uri_of

if TYPE_CHECKING:
    from cmr_hub.gallery.query import Query
    from cmr_hub.hit import Hit

Model = Annotated[
    str | None,
    typer.Option(help="Model that made the gallery, if it was moved."),
]


def search(
    gallery: Annotated[
        str,
        typer.Argument(
            help="Directory of the gallery, http://HOST:PORT/COLLECTION in Milvus, or a model with "
            "a gallery."
        ),
    ],
    text: Annotated[str | None, typer.Argument(help="Sentence to search for.")] = None,
    image: Annotated[Path | None, typer.Option(help="Picture to search with.")] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            help="With --image: weight of the sentence; negative to exclude it. Default: 1."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Sentence to exclude from the results. Can be repeated."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of hits.")] = 10,
    offset: Annotated[int, typer.Option(min=0, help="Skip this many of the best hits.")] = 0,
    target: Annotated[
        Literal["image", "text"] | None,
        typer.Option(help="Search pictures or sentences. Default: pictures, if there are any."),
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="Condition on the columns, e.g. \"label = 'dog'\".")
    ] = None,
    near: Annotated[
        str | None,
        typer.Option(help="Place and distance of the camera, e.g. 48.2,16.4,10km."),
    ] = None,
    min_score: Annotated[float | None, typer.Option(help="Minimum score.")] = None,
    clear: Annotated[
        float | None,
        typer.Option(
            help="For sentences: minimum z-score of a hit (how far it stands out), e.g. 2.5."
        ),
    ] = None,
    distinct: Annotated[
        float | None,
        typer.Option(help="Hide hits that are more similar than this to a better hit, e.g. 0.98."),
    ] = None,
    all_copies: Annotated[
        bool,
        typer.Option(
            "--all-copies", help="Also list copies of the same picture and all frames of a video."
        ),
    ] = False,
    model: Model = None,
    device: Device = "auto",
    backend: Backend = "auto",
    int8: Int8 = False,
    allow_download: AllowDownload = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    paths: Annotated[
        bool,
        typer.Option(
            "--paths", help="Print only the paths of the pictures and videos, one per line."
        ),
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write the hits as a page to this file.")
    ] = None,
    show: Annotated[
        int | None,
        typer.Option(
            "--open",
            min=0,
            metavar="[RANK]",
            help="Open the hits in the browser. With a number, e.g. --open 3, open the picture or "
            "video of the third hit.",
        ),
    ] = None,
) -> None:
    """Search a gallery with a sentence, a picture, or both.

    The exit status is 0, even if nothing is found, and 2 after an error.
    """
    from cmr_hub.gallery.clear import NOTHING_CLEAR
    from cmr_hub.gallery.notes import query_notes, unknown_words
    from cmr_hub.loading import open_gallery

    filters = {"--where": where, "--near": near, "--min-score": min_score}
    if near is not None:
        from cmr_hub.gallery.where import near_condition

        place = near_condition(near)
        where = place if where is None else f"({where}) AND {place}"
    if weight is not None and (image is None or text is None):
        raise QueryError("--weight needs a sentence and a picture: give both, or omit --weight")
    if paths and as_json:
        raise QueryError("give --paths or --json, not both")
    query = _query(text, image, weight, without or [])
    opened = open_gallery(
        gallery, model, allow_download=allow_download, device=device, backend=backend, int8=int8
    )
    hits = opened.search(
        query,
        k,
        target,
        offset,
        where=where,
        min_score=min_score,
        distinct=not all_copies if distinct is None else distinct,
        clear=clear,
    )
    unknown = [] if opened.model is None else unknown_words(opened.model, query)
    notes = query_notes(query, unknown, "with --without")
    nothing = _nothing(len(opened), filters) if clear is None else NOTHING_CLEAR
    messages = Terminal(stderr=True, markup=False, emoji=False) if as_json or paths else console
    if html is not None or show == 0:
        from cmr_hub.atomic import atomic_file
        from cmr_hub.gallery.contact_sheet import contact_sheet

        page = html or Path(tempfile.mkdtemp(prefix="cmr-")) / "hits.html"
        query_text = " + ".join(filter(None, ["" if image is None else image.name, text]))
        title = " − ".join([query_text, *(without or [])])
        with atomic_file(page) as file:
            file.write_text(contact_sheet(hits, title, nothing, notes), encoding="utf-8")
        if show == 0:
            webbrowser.open(page.absolute().as_uri())
        messages.print(f"{len(hits)} hits in {page}", soft_wrap=True)
    elif not hits:
        messages.print(nothing, soft_wrap=True)
    elif messages is console:
        console.print(_table(hits))
    if as_json:
        extra = {"unknown_words": unknown, "note": " ".join(notes) or None}
        typer.echo(json_text([hit.record() | extra for hit in hits]))
    if paths:
        _print_paths(hits, messages)
    for note in notes:
        messages.print(note, soft_wrap=True, highlight=False)
    if show:
        _open(hits, show)


def _nothing(size: int, filters: Mapping[str, object]) -> str:
    """Return a sentence that explains why there are no hits."""
    if not size:
        return "Nothing was found: the gallery is empty."
    given = " and ".join(name for name, value in filters.items() if value is not None)
    return f"Nothing was found that satisfies {given}." if given else "Nothing was found."


def _print_paths(hits: Sequence[Hit], messages: Terminal) -> None:
    """Print paths for other programs, unescaped unless the output is a terminal.

    For the frames of a video, the path of the video is printed once.
    """
    from cmr_hub.datasets.videos import file_of

    paths = [str(file_of(hit.path)) for hit in hits if hit.path is not None]
    files = [path for path in dict.fromkeys(paths) if "\n" not in path]
    if sys.stdout.isatty():
        for file in files:
            console.print(file, soft_wrap=True, highlight=False)
    else:
        # As bytes, because the encoding of the output may lack characters.
        sys.stdout.buffer.write(b"".join(os.fsencode(file) + b"\n" for file in files))
        sys.stdout.buffer.flush()
    if left_out := len(hits) - sum("\n" not in path for path in paths):
        messages.print(
            f"{left_out} hits without a path, or with line breaks in it, were skipped; see --json."
        )


def _open(hits: Sequence[Hit], rank: int) -> None:
    """Open the picture of a hit in the default program. Raises QueryError if there is none.

    For a frame, the video is opened from its start, because not all programs accept a time.
    """
    from cmr_hub.datasets.videos import file_of

    hit = next((hit for hit in hits if hit.rank == rank), None)
    if hit is None:
        raise QueryError(
            f"--open {rank}: there is no hit with this rank among the {len(hits)} hits"
        )
    if hit.path is None:
        raise QueryError(f"--open {rank}: this hit is a text and has no picture")
    webbrowser.open(uri_of(str(file_of(hit.path))))


def _query(text: str | None, image: Path | None, weight: float | None, without: list[str]) -> Query:
    """Build the query. Raises QueryError if there is neither a sentence nor a picture."""
    from cmr_hub.gallery.query import UNWANTED_WEIGHT, Mix

    parts: list[tuple[float, Query]] = []
    if image is not None:
        parts.append((1.0, image))
    if text is not None:
        parts.append((1.0 if weight is None else weight, text))
    if not parts:
        raise QueryError("give a sentence, or a picture with --image, to search with")
    parts += [(-UNWANTED_WEIGHT, unwanted) for unwanted in without]
    return parts[0][1] if len(parts) == 1 else Mix(*parts)


def _table(hits: list[Hit]) -> Table:
    columns: dict[str, Sequence[str | Text]] = {
        "rank": [str(hit.rank) for hit in hits],
        "score": [f"{hit.score:.3f}" for hit in hits],
        "clear": ["" if hit.z is None else f"{hit.z:.1f}" for hit in hits],
        "label": [cell(hit.label or "") for hit in hits],
        "sentence": [cell(hit.sentences[0] if hit.sentences else "") for hit in hits],
        "text": [cell(hit.text or "") for hit in hits],
        "copies": [f"and {hit.duplicates:,} more" if hit.duplicates else "" for hit in hits],
        "path": [_linked(hit) for hit in hits],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    # Folded, because a truncated path does not identify a file.
    table = Table(*(Column(name, overflow="fold") for name in filled))
    for row in zip(*filled.values(), strict=True):
        table.add_row(*row)
    return table


def _linked(hit: Hit) -> Text:
    """Return a short path for the shell, as a hyperlink if the terminal supports it."""
    from cmr_hub.datasets.videos import file_of

    if hit.path is None:
        return Text(cell(hit.id, None))
    shown = str(hit.path)
    for folder, name in ((Path.cwd(), ""), (home(), "~")):
        if folder is not None and hit.path.is_relative_to(folder):
            shown = str(Path(name, hit.path.relative_to(folder)))
            break
    return Text(cell(shown, None), style=Style(link=uri_of(str(file_of(hit.path)))))


def demo(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Model directory, photos, sketch, or a repository on the Hub, user/name; with "
            "--gallery also a short name from `cmr models`."
        ),
    ] = None,
    gallery: Annotated[
        str | None, typer.Option(help="Gallery to search, as created by `cmr index`.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port. Default: the first free one.")
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option(help="Another model to compare with. Can be repeated.")
    ] = None,
    mcp: Annotated[bool, typer.Option(help="Also serve MCP tools.")] = False,
    allow_host: AllowHost = None,
    device: Device = "auto",
    allow_download: AllowDownload = False,
    backend: Backend = "auto",
    int8: Int8 = False,
) -> None:
    """Serve a search page for a gallery or a model, and print its address.

    Default: the included model and its gallery.
    """
    from cmr_hub.apps.search_page import launch

    launch(
        model,
        gallery=gallery,
        compare=compare or (),
        host=host,
        port=port,
        mcp=mcp,
        allow_hosts=allow_host or (),
        device=device,
        allow_download=allow_download,
        backend=backend,
        int8=int8,
    )
