"""Words of strangers on the screen: never orders to the terminal, and never too long for it."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from cmr_hub import load
from cmr_hub.cli.terminal import LONGEST, Terminal, cell, json_text, printable
from cmr_hub.errors import ImageError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.local import LocalStore

CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"
HIDDEN = "\x1b[8m"
C1 = "\x9b8m"
BIDI = "\u202egnp.exe\u061c\u200f"
ORDERS = CLIPBOARD + HIDDEN + C1 + BIDI
FORBIDDEN = {"\x1b", "\x07", "\x9b", "\u202e", "\u061c", "\u200f"}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A gallery of `sketch` whose every word gives orders to the terminal."""
    model = load("sketch")
    items = [
        Item(f"i{n}{ORDERS}", Path(f"/x{ORDERS}{n}"), (f"a dog {ORDERS}",), f"dog{ORDERS}")
        for n in range(3)
    ]
    rows = np.eye(3, model.dim, dtype=np.float32)
    gallery = Gallery(LocalStore.create(tmp_path / "g", model.fingerprint, f"runs/{ORDERS}"), model)
    gallery.add_vectors(items_table(items), image_embeddings=rows)
    return tmp_path / "g"


def clean(*texts: str) -> bool:
    return not FORBIDDEN & set("".join(texts))


def test_hits(cmr, hostile: Path) -> None:
    code, out, err = cmr("search", hostile, "a dog", "--model", "sketch")
    assert code == 0
    assert clean(out, err)
    assert "\\x1b]52;c;" in out
    code, out, err = cmr("search", hostile, "a dog", "--model", "sketch", "--json")
    assert clean(out, err)
    assert json.loads(out)[0]["sentences"] == [f"a dog {ORDERS}"]  # a program gets what is there


def test_facts_and_errors(cmr, hostile: Path) -> None:
    code, out, err = cmr("gallery", "info", hostile)
    assert code == 0
    assert clean(out, err)
    assert "\\x1b[8m" in out
    code, out, err = cmr("search", hostile, "a dog")  # the model that it names
    assert code == 2
    assert clean(out, err)
    assert "\\x1b]52" in err
    code, out, err = cmr("search", hostile, "a dog", "--model", "sketch", "--where", ORDERS)
    assert code == 2
    assert clean(out, err)


def test_arguments_and_faults(cmr, monkeypatch) -> None:
    for arguments in ([f"sea{ORDERS}"], ["search", f"--x{ORDERS}"], ["search", "x", "y", ORDERS]):
        code, out, err = cmr(*arguments)
        assert code == 2
        assert clean(out, err)
        assert "\\x1b" in err
    for fault in (ZeroDivisionError, ImageError):
        with monkeypatch.context() as changed:
            changed.setattr(Gallery, "search", raising(fault(ORDERS)))
            code, out, err = cmr("search", "sketch", "a dog")
        assert code == (2 if fault is ImageError else 1)
        assert clean(out, err)
        assert "\\x1b]52" in err


def test_warnings() -> None:
    """In a process of its own: pytest records those of this one."""
    code = (
        "import warnings, typer; from cmr_hub.cli import main; app = typer.Typer()\n"
        f"app.command()(lambda: warnings.warn({ORDERS!r})); main(app)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert clean(found.stderr.decode())
    assert "\\x1b]52" in found.stderr.decode()


def raising(error: Exception):
    def raise_it(*_, **__):
        raise error

    return raise_it


def test_what_the_log_says() -> None:
    printed = io.StringIO()
    handler = RichHandler(console=Terminal(file=printed), show_time=False, show_path=False)
    logging.getLogger("x").handlers = [handler]
    logging.getLogger("x").warning("%s is damaged", ORDERS)
    assert clean(printed.getvalue())
    assert "is damaged" in printed.getvalue()


def test_a_terminal_keeps_its_own_colours() -> None:
    printed = io.StringIO()
    terminal = Terminal(file=printed, force_terminal=True, color_system="truecolor")
    terminal.print(Text(HIDDEN, style="red"))
    assert printed.getvalue() == "\x1b[31m\\x1b[8m\x1b[0m\n"


def test_a_caption_of_twenty_megabytes(tmp_path: Path, cmr) -> None:
    model = load("sketch")
    gallery = Gallery(LocalStore.create(tmp_path / "g", model.fingerprint), model)
    long = "dog " * 5_000_000
    items = [Item(f"i{n}", None, (long,), long) for n in range(2)]
    gallery.add_vectors(items_table(items), image_embeddings=np.eye(2, model.dim, dtype=np.float32))
    start = time.perf_counter()
    code, out, _ = cmr("search", tmp_path / "g", "a dog", "--model", "sketch")
    assert code == 0
    assert len(out) < 50_000
    page = tmp_path / "hits.html"
    code, _, _ = cmr("search", tmp_path / "g", "a dog", "--model", "sketch", "--html", page)
    assert page.stat().st_size < 100_000
    assert time.perf_counter() - start < 10


def test_cells() -> None:
    assert cell("a\nb\t\x00") == "a\\x0ab\\x09\\x00"
    assert cell("é" * LONGEST) == "é" * LONGEST
    assert len(cell("é" * 10 * LONGEST)) == LONGEST
    assert cell("/a/" + "b" * 1000, None).endswith("b")
    assert printable("a\n\tb\r") == "a\n\tb\\x0d"
    table = Table("x")
    table.add_row(cell(ORDERS))
    printed = io.StringIO()
    Terminal(file=printed, width=200).print(table)
    assert len({len(line) for line in printed.getvalue().splitlines()}) == 1  # it lines up


def test_json_is_json() -> None:
    value = {
        "a": float("nan"),
        "b": [float("inf"), 1.5],
        "c": (Path("x"), None),
        3: np.float64("nan"),
    }
    assert json.loads(json_text(value), parse_constant=pytest.fail) == {
        "a": None,
        "b": [None, 1.5],
        "c": ["x", None],
        "3": None,
    }


def test_hits_of_vectors_that_are_not_numbers(tmp_path: Path, cmr) -> None:
    model = load("sketch")
    rows = np.eye(2, model.dim, dtype=np.float32)
    gallery = Gallery(LocalStore.create(tmp_path / "g", model.fingerprint), model)
    items = [Item(f"i{n}", metadata={"x": float("nan")}) for n in range(2)]
    gallery.add_vectors(items_table(items), image_embeddings=rows)
    _, out, _ = cmr("search", tmp_path / "g", "a dog", "--model", "sketch", "--json")
    hits = json.loads(out, parse_constant=pytest.fail)
    assert [hit["metadata"] for hit in hits] == [{"x": None}] * 2
