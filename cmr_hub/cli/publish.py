"""Define the commands `cmr publish` and `cmr space` for the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal
from rich.table import Column, Table

from cmr_hub.cli.options import AllowDownload, ModelName, console
from cmr_hub.cli.terminal import cell

if TYPE_CHECKING:
    from cmr_hub.models.upload import Upload

SHOWN = 30
_SIGNS = {"new": "+", "changed": "~", "gone": "-"}

space = typer.Typer(
    help="Build folders that run as Spaces on the Hub, or in a browser.", no_args_is_help=True
)


def publish(
    directory: Annotated[str, typer.Argument(help="Model directory, or photos or sketch.")],
    repo: Annotated[
        str | None,
        typer.Option(help="Repository on the Hub, user/name. Optional with --card-only."),
    ] = None,
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Visibility of a new repository.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch to upload to; created if it does not exist.")
    ] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request.")] = False,
    with_space: Annotated[
        bool, typer.Option("--space", help="Also create a Space of the same name.")
    ] = False,
    dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="RESULTS",
            help="Also publish this folder of results as the dataset NAME-results. The card uses "
            "the other seeds of the same run in this folder. Default for the card: runs.",
        ),
    ] = None,
    card_only: Annotated[
        bool,
        typer.Option(
            "--card-only",
            help="Only write the model card README.md and its pictures into the directory.",
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the changes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    allow_download: AllowDownload = False,
) -> None:
    """Publish a model with its card on the Hub, after showing the changes for confirmation.

    Log in first with `hf auth login`, or set HF_TOKEN. The gallery is also published if its
    pictures are in the model directory.
    """
    results = dataset or Path("runs")
    if card_only:
        from cmr_hub.hub.card import write_card

        written = write_card(_directory(directory), load_name=repo, results=results)
        console.print(f"Wrote {written}", soft_wrap=True)
        return
    if repo is None:
        raise typer.BadParameter("give the repository on the Hub: --repo user/name")
    from cmr_hub.hub.publish import publication, results_publication, space_publication

    confirm = not (dry_run or yes)
    with publication(
        _directory(directory),
        repo,
        results=results,
        private=private,
        branch=revision,
        create_pr=create_pr,
        allow_download=allow_download,
    ) as upload:
        commit = _offer(upload, "Upload model with CMR Hub", confirm=confirm, dry_run=dry_run)
    if dataset is not None:
        with results_publication(dataset, repo, private=private) as upload:
            _offer(upload, "Upload results with CMR Hub", confirm=confirm, dry_run=dry_run)
    if with_space and dry_run:
        console.print(f"It would also create the Space {repo} for this commit.")
    elif with_space:
        with space_publication(repo, commit, private=private) as upload:
            _offer(upload, "Upload Space with CMR Hub", confirm=confirm, dry_run=False)


@space.command()
def build(
    out: Annotated[Path, typer.Argument(help="New directory for the Space.")],
    model: Annotated[
        str,
        typer.Option(help="Model directory, repository on the Hub, or photos or sketch."),
    ] = "photos",
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of the repository.")
    ] = None,
    allow_download: AllowDownload = False,
) -> None:
    """Build a Gradio Space with the search page."""
    from cmr_hub.hub.space import build_space
    from cmr_hub.releases import is_release, release_directory

    source: str | Path = release_directory(model) if is_release(model) else model
    build_space(out, source, revision=revision, allow_download=allow_download)
    console.print(
        f"Wrote {out}. To try it: pip install -r {out}/requirements.txt; cd {out}; python app.py",
        soft_wrap=True,
    )


@space.command()
def dashboard(
    out: Annotated[Path, typer.Argument(help="New directory for the Space.")],
    results: Annotated[Path, typer.Option(help="Folder of the results to show.")] = Path("results"),
) -> None:
    """Build a Docker Space with the Streamlit dashboard."""
    from cmr_hub.hub.dashboard_space import build_dashboard_space

    build_dashboard_space(out, results)
    console.print(
        f"Wrote {out}. To try it: docker build -t dashboard {out}; "
        "docker run -p 8501:8501 dashboard",
        soft_wrap=True,
    )


@space.command("static")
def site(
    gallery: Annotated[
        str,
        typer.Argument(help="Directory of the gallery, or a model with one: photos or sketch."),
    ],
    out: Annotated[Path, typer.Option(help="New directory for the site.")],
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Store the model in 8 bits.")] = False,
    allow_download: Annotated[
        bool,
        typer.Option(
            "--allow-download",
            help="Download onnxruntime-web from npm once, and the model of the gallery if missing.",
        ),
    ] = False,
) -> None:
    """Build a static site that searches a gallery in the browser, without a server.

    The site includes the captions, labels and other columns of the gallery, and smaller copies of
    the pictures without EXIF data.
    """
    from cmr_hub.loading import open_gallery
    from cmr_hub.static_site.site import build_static_site

    opened = open_gallery(gallery, allow_download=allow_download, device="cpu", backend="torch")
    built = build_static_site(opened, out, title=title, int8=int8, allow_download=allow_download)
    if built["missing"]:
        console.print(f"{built['missing']} pictures could not be read and are skipped.")
    sizes = built["bytes"]
    first = sum(size for name, size in sizes.items() if name != "model/image.onnx")
    console.print(
        f"Wrote {out}: {built['count']:,} items; a visitor loads {decimal(first)} at first, and "
        f"{decimal(sizes['model/image.onnx'])} more to search by pictures. To try it: "
        f"python -m http.server --directory {out}",
        soft_wrap=True,
    )


@space.command()
def onnx(
    model: ModelName,
    out: Annotated[Path, typer.Option(help="New directory for the exported model.")],
    int8: Annotated[bool, typer.Option("--int8", help="Store the weights in 8 bits.")] = False,
    allow_download: AllowDownload = False,
) -> None:
    """Export a model as ONNX networks and JSON, and compare it with torch."""
    from cmr_hub.loading import load
    from cmr_hub.static_site.export import export_model

    loaded = load(model, allow_download=allow_download, device="cpu", backend="torch")
    check = export_model(loaded, out, int8=int8)["check"]
    console.print(
        f"Wrote {out}. On {check['pairs']} pictures with sentences, the minimum cosine with torch "
        f"is {check['image_cosine']:.5f} and {check['text_cosine']:.5f}, and Recall@10 "
        f"{check['recall_at_10']:.3f} instead of {check['recall_at_10_torch']:.3f}.",
        soft_wrap=True,
    )


def _directory(name: str) -> Path:
    from cmr_hub.releases import is_release, release_directory

    return release_directory(name) if is_release(name) else Path(name)


def _offer(upload: Upload, message: str, *, confirm: bool, dry_run: bool) -> str:
    """Show the changes of an upload, ask for confirmation, upload, and return the commit."""
    changes = upload.changes()
    different = [change for change in changes if change.what != "same"]
    where = f"{upload.kind} {upload.repository}" + (f", {upload.branch}" if upload.branch else "")
    table = Table("", Column("file", overflow="fold"), "size", title=where, title_justify="left")
    for change in different[:SHOWN]:
        table.add_row(_SIGNS[change.what], cell(change.path, None), decimal(change.size))
    console.print(table)
    if len(different) > SHOWN:
        console.print(f"and {len(different) - SHOWN} more files")
    size = sum(change.size for change in different if change.what != "gone")
    counts = [
        f"{sum(change.what == what for change in changes)} {what}"
        for what in ("new", "changed", "gone", "same")
    ]
    console.print(f"{', '.join(counts)}; {decimal(size)} to upload")
    if dry_run:
        return ""
    if not different:
        console.print("Everything is up to date.")
    elif confirm and not _confirmed("Upload?"):
        console.print("Nothing was uploaded.")
        raise typer.Exit(1)
    sent = upload.send(message)
    console.print(f"Uploaded: {sent.url}", soft_wrap=True)
    return sent.commit


def _confirmed(question: str) -> bool:
    try:
        return typer.confirm(question)
    except typer.Abort as abort:
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None  # so that `main` handles it like any Ctrl-C
        raise
