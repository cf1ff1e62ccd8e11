"""What `cmr search` says beside the hits, and what it is told to leave out."""

import io
import json
import os
import subprocess
import sys
import webbrowser
from pathlib import Path

import numpy as np
import pytest

from cmr_hub import load
from cmr_hub.cli.search import _table
from cmr_hub.cli.terminal import Terminal
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.gallery.local import LocalStore
from cmr_hub.gallery.query import UNWANTED_WEIGHT, Mix

SAID = "a dog and a xqzvw"


def test_the_command(cmr, tmp_path) -> None:
    left_out = "Left out, as this model does not know them: xqzvw."
    not_read = "The word “not” is not understood"
    code, out, _ = cmr("search", "sketch", f"{SAID}, not a cat", "-k", 2)
    assert code == 0
    assert left_out in out
    assert not_read in out
    code, out, err = cmr("search", "sketch", f"{SAID}, not a cat", "-k", 2, "--json")
    hits = json.loads(out)
    assert [hit["unknown_words"] for hit in hits] == [["xqzvw"]] * 2
    assert all(hit["note"].startswith(f"{left_out} {not_read}") for hit in hits)
    assert left_out in err
    page = tmp_path / "hits.html"
    _, out, _ = cmr("search", "sketch", SAID, "-k", 2, "--html", page)
    assert left_out in out
    assert f"<p>{left_out}</p>" in page.read_text()
    code, out, err = cmr("search", "sketch", "a dog", "-k", 2, "--json")
    assert [(hit["unknown_words"], hit["note"]) for hit in json.loads(out)] == [([], None)] * 2
    assert not err


def test_without(cmr) -> None:
    arguments = ("search", "sketch", "an animal", "--without", "a cow", "--without", "a xqzvw cat")
    _, out, _ = cmr(*arguments, "-k", 5, "--json")
    hits = json.loads(out)
    unwanted = [(-UNWANTED_WEIGHT, text) for text in ("a cow", "a xqzvw cat")]
    mix = Mix((1, "an animal"), *unwanted)
    expected = load("sketch").gallery.search(mix, 5, "image")
    assert [hit["id"] for hit in hits] == [hit.id for hit in expected]
    assert hits[0]["unknown_words"] == ["xqzvw"]
    code, _, err = cmr("search", "sketch", "--without", "a cow")
    assert code == 2
    assert "give a sentence" in err


def test_a_file_name_is_asked_back(cmr):
    code, _, err = cmr("search", "sketch", "dog.jpg")
    assert code == 2
    assert "--image on the command line" in err


FIRST = load("sketch").gallery.search("a dog", 3)


@pytest.fixture
def make_own(tmp_path):
    """A gallery of `sketch` of these items, the first of which is nearest to "a dog"."""

    def make(*items: Item) -> Path:
        model = load("sketch")
        store = LocalStore.create(tmp_path / "g", model.fingerprint, "sketch")
        if items:
            rows = np.linspace(1, 0, len(items))[:, None] * model.encode_texts(["a dog"])
            rows += np.linspace(0, 1, len(items))[:, None] * model.encode_texts(["a red car"])
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            Gallery(store, model).add_vectors(items_table(items), image_embeddings=rows)
        return tmp_path / "g"

    return make


@pytest.fixture
def opened(monkeypatch):
    found: list[str] = []
    monkeypatch.setattr(webbrowser, "open", found.append)
    return found


def test_paths_for_other_programs(cmr, make_own) -> None:
    code, out, err = cmr("search", "sketch", SAID, "-k", 3, "--paths")
    assert code == 0
    assert out.splitlines() == [str(hit.path) for hit in load("sketch").search(SAID, k=3)]
    assert "xqzvw" in err
    names = ["/x/a b\x1b[31m.jpg", "/x/狗.jpg", "/x/two\nlines.jpg"]
    own = make_own(*(Item(str(at), Path(name)) for at, name in enumerate(names)), Item("text"))
    _, out, err = cmr("search", own, "a dog", "--paths")
    assert out == f"{names[0]}\n{names[1]}\n"
    assert "2 hits without a path, or with line breaks in it, were skipped" in err
    assert cmr("search", own, "a dog", "--paths", "--json")[0] == 2


def test_in_a_terminal_paths_give_no_orders(cmr, make_own, monkeypatch) -> None:
    own = make_own(Item("a", Path("/x/a\x1b[31m.jpg")))
    monkeypatch.setattr(sys.stdout.__class__, "isatty", lambda _: True)
    assert "/x/a\\x1b[31m.jpg" in cmr("search", own, "a dog", "--paths")[1]


def test_a_hit_is_opened(cmr, opened, make_own) -> None:
    assert cmr("search", "sketch", "a dog", "-k", 3, "--open", 3)[0] == 0
    assert cmr("search", "sketch", "-k", 1, "--offset", 2, "--open", "3", "a dog")[0] == 0
    assert opened == [FIRST[2].path.as_uri()] * 2
    code, _, err = cmr("search", "sketch", "a dog", "-k", 3, "--open", 4)
    assert code == 2
    assert "there is no hit with this rank among the 3 hits" in err
    code, _, err = cmr("search", make_own(Item("text")), "a dog", "--open", 1)
    assert code == 2
    assert "has no picture" in err
    assert len(opened) == 2


@pytest.mark.parametrize("arguments", [("a dog", "--open"), ("--open", "a dog")])
def test_all_hits_are_opened(cmr, opened, arguments) -> None:
    code, out, _ = cmr("search", "sketch", *arguments)
    assert code == 0
    (page,) = opened
    assert page.removeprefix("file://") in out


def test_short_paths_with_links(monkeypatch) -> None:
    folder = FIRST[0].path.parent
    for where, shown in (("cwd", FIRST[0].path.name), ("home", f"~/{FIRST[0].path.name}")):
        with monkeypatch.context() as changed:
            changed.setattr(Path, "cwd", classmethod(lambda _: Path("/elsewhere")))
            changed.setattr(Path, where, classmethod(lambda _: folder))
            printed = io.StringIO()
            terminal = Terminal(file=printed, force_terminal=True, width=300)
            terminal.print(_table(FIRST))
        assert f";{FIRST[0].path.as_uri()}\x1b\\{shown}\x1b]8;;" in printed.getvalue()
        assert str(folder) not in printed.getvalue().replace(FIRST[0].path.parent.as_uri(), "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--where", "label = 'xyz'"], "Nothing was found that satisfies --where."),
        (["--min-score", "1", "--where", "id = 'x'"], "satisfies --where and --min-score."),
        (["--offset", "10000"], "Nothing was found."),
        (["--clear", "50"], "Nothing here stands out"),
    ],
)
def test_no_hits(cmr, options, said) -> None:
    code, out, err = cmr("search", "sketch", "a dog", *options)
    assert (code, err) == (0, "")
    assert said in out
    for option, expected in (("--json", "[]\n"), ("--paths", "")):
        code, out, err = cmr("search", "sketch", "a dog", *options, option)
        assert (code, out) == (0, expected)
        assert said in err


def test_an_empty_gallery(cmr, make_own) -> None:
    assert "the gallery is empty" in cmr("search", make_own(), "a dog")[1]


def test_pictures_are_searched_with_a_picture(cmr) -> None:
    picture = FIRST[0].path
    for target in ("image", "text"):
        options = [] if target == "image" else ["--target", "text"]
        _, out, _ = cmr("search", "sketch", "--image", picture, "--json", *options)
        expected = load("sketch").gallery.search(picture, 10, target)
        assert [hit["id"] for hit in json.loads(out)] == [hit.id for hit in expected]


PRINTED_IN_TURN = """
import sys
from cmr_hub.cli import main
own = sys.argv[1]
for options in ([], ["--json"], ["--paths"]):
    sys.argv = ["cmr", "search", own, "a dog", *options]
    try:
        main()
    except SystemExit as end:
        assert not end.code
    print(end="\\0", flush=True)
"""


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_what_the_encoding_does_not_have(make_own, encoding) -> None:
    name = "/x/犬.jpg"
    own = make_own(Item("a", Path(name), ("犬が走る č",), "犬", {"x": float("inf")}))
    found = subprocess.run(
        [sys.executable, "-c", PRINTED_IN_TURN, own],
        env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "200"},
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    text, as_json, paths, _ = found.stdout.split(b"\0")
    assert ("犬が走る č" if encoding == "utf-8" else "\\u72ac\\u304c") in text.decode(encoding)
    (hit,) = json.loads(as_json, parse_constant=pytest.fail)
    assert (hit["label"], hit["metadata"]) == ("犬", {"x": None})
    assert paths == os.fsencode(name) + b"\n"
