"""Define the command line `cmr`."""

from __future__ import annotations

import io
import logging
import sys
import traceback
from typing import Annotated, Any, cast

import typer
from rich.logging import RichHandler
from typer.exceptions import TyperException

from cmr_hub.cli.dashboard import dashboard
from cmr_hub.cli.data import data
from cmr_hub.cli.doctor import doctor
from cmr_hub.cli.evaluate import evaluate
from cmr_hub.cli.gallery import app as gallery
from cmr_hub.cli.index import index
from cmr_hub.cli.label import label
from cmr_hub.cli.models import models
from cmr_hub.cli.publish import publish, space
from cmr_hub.cli.search import SearchCommand, demo, search
from cmr_hub.cli.study import ablate, report
from cmr_hub.cli.terminal import Terminal, printable
from cmr_hub.cli.train import train
from cmr_hub.errors import CMRError
from cmr_hub.version import __version__

app = typer.Typer(
    help=(
        "Find pictures by sentences and sentences by pictures.\n\n"
        "To search your own pictures: `cmr index ~/Pictures --out gallery`, then "
        '`cmr search gallery "a dog"` or `cmr demo --gallery gallery`. '
        "To train a model: `cmr data`, then `cmr train`."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
_TRAINING = (data, train, evaluate, ablate, report)
_SEARCHING = (models, index, label, search, demo, dashboard)
for command in (*_TRAINING, *_SEARCHING, publish, doctor):
    app.command(cls=SearchCommand if command is search else None)(command)
app.add_typer(gallery, name="gallery")
app.add_typer(space, name="space")


@app.callback(invoke_without_command=True)
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    if show_version:
        typer.echo(f"cmr-hub {__version__}")
        raise typer.Exit


_INTERRUPTED = 130  # typer's exit status after Ctrl-C


def main(commands: typer.Typer = app) -> None:
    """Run a command; print errors that a user can fix as one line without a traceback.

    Control characters are printed as escapes, also in warnings and tracebacks, and so are
    characters that the encoding of the output does not have.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    errors = Terminal(stderr=True, markup=False, emoji=False)
    logging.captureWarnings(True)
    logging.basicConfig(
        format="%(message)s",
        handlers=[RichHandler(console=errors, show_time=False, show_path=False)],
    )
    try:
        code = commands(standalone_mode=False)
    except TyperException as error:  # arguments that make no sense
        from typer.rich_utils import rich_format_error

        error.message = printable(error.message)
        rich_format_error(cast("Any", error))
        sys.exit(error.exit_code)
    except typer.Abort:
        errors.print("Aborted.")
        sys.exit(1)
    except (CMRError, OSError, UnicodeEncodeError) as error:
        errors.print(f"error: {error}", style="red", highlight=False, soft_wrap=True)
        sys.exit(2)
    except Exception:
        errors.print(traceback.format_exc(), highlight=False, soft_wrap=True)
        sys.exit(1)
    if code == _INTERRUPTED:
        errors.print("stopped; finished work is kept")
    sys.exit(code or 0)
