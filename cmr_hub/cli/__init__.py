"""Define the command line `cmr`."""

from __future__ import annotations

import io
import logging
import sys
import traceback
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Final, cast

import typer
from rich.logging import RichHandler
from typer.core import TyperCommand
from typer.exceptions import TyperException

from cmr_hub.cli.examples import add_examples
from cmr_hub.cli.terminal import Terminal, printable
from cmr_hub.errors import CMRError
from cmr_hub.version import __version__

_HELP: Final = (
    "Find pictures by sentences and sentences by pictures.\n\n"
    "To search your own pictures: `cmr index ~/Pictures --out gallery`, then "
    '`cmr search gallery "a dog"` or `cmr demo --gallery gallery`. '
    "To train a model: `cmr data`, then `cmr train`."
)
_COMMANDS: Final = {
    "data": "data:app",
    "train": "train:train",
    "evaluate": "evaluate:evaluate",
    "ablate": "study:ablate",
    "report": "study:report",
    "models": "models:models",
    "index": "index:index",
    "label": "label:label",
    "search": "search:search",
    "demo": "search:demo",
    "dashboard": "dashboard:dashboard",
    "publish": "publish:publish",
    "doctor": "doctor:doctor",
    "gallery": "gallery:app",
    "space": "publish:space",
}
"""`module:attribute` of each command or group, in the order of the help."""


class _Search(TyperCommand):
    """The command `cmr search`. typer does not support the optional number after `--open`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as `TyperCommand`, with `--open=0` for `--open` without a number."""
        for at, arg in enumerate(args):
            if arg == "--":
                break
            if arg == "--open" and not "".join(args[at + 1 : at + 2]).isdecimal():
                args[at] = "--open=0"
        return super().parse_args(ctx, args)


@cache
def app_of(*names: str) -> typer.Typer:
    """Return the program with only these commands.

    Importing all commands and inspecting their options takes longer than a search.
    """
    app = typer.Typer(
        help=_HELP,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    app.callback(invoke_without_command=True)(_root)
    for name in names:
        module, _, attribute = _COMMANDS[name].partition(":")
        command = getattr(import_module(f"{__name__}.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(cls=_Search if name == "search" else None)(command)
    add_examples(app)
    return app


def __getattr__(name: str) -> Any:
    """Return `app`, the program with all commands."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return app_of(*_COMMANDS)


def _root(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True)
    ] = False,
) -> None:
    if show_version:
        typer.echo(f"cmr-hub {__version__}")
        raise typer.Exit


_INTERRUPTED = 130  # exit status of typer after Ctrl-C


def main(commands: typer.Typer | None = None) -> None:
    """Run a command, and print errors that the user can fix as one line without a traceback.

    Control characters, and characters that the encoding of the output lacks, are escaped, also in
    warnings and tracebacks.
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
        if commands is None:
            commands = app_of(*_COMMANDS.keys() & sys.argv[1:2] or _COMMANDS)
        code = commands(standalone_mode=False)
    except TyperException as error:  # invalid arguments
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
