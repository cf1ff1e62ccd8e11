"""The examples below the help of every command: understood, and run where that is quick."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
import typer
from PIL import Image

from cmr_hub import cli
from cmr_hub.cli.examples import EXAMPLES, commands
from cmr_hub.datasets.fetch import SOURCES

RUN = {
    "cmr data",
    "cmr data folder --root ~/Pictures/pets",
    "cmr models",
    "cmr models siglip2",
    "cmr label gallery --names names.txt",
    "cmr label gallery --names names.txt --template 'a drawing of {}' --column drawing",
    "cmr label gallery --names names.txt --min-probability 0.5",
    'cmr search gallery "two dogs on a beach" --where "year >= 2020"',
    'cmr search gallery --image dog.jpg "at night" --weight 0.5 --html hits.html',
    'cmr search gallery "an animal in a field" --without "a cow" -k 100 --paths',
    "cmr index ~/Pictures --out gallery",
    "cmr index ~/Pictures --out gallery --metadata annotations.json --exclude thumbs/",
    "cmr doctor",
    "cmr doctor --json",
    "cmr gallery info gallery",
    "cmr gallery verify gallery",
    "cmr gallery compact gallery",
    "cmr gallery remove gallery --where \"folder LIKE 'old%'\"",
    "cmr gallery duplicates gallery",
    "cmr gallery duplicates gallery --kind same-picture --json",
    "cmr gallery duplicates gallery --alike 0.9 --contact-sheet duplicates.html",
    "cmr gallery export gallery --out gallery.parquet",
    "cmr gallery export gallery --out gallery.csv --where \"label = 'dog'\"",
    "cmr gallery export gallery --out for-fiftyone --format fiftyone",
    "cmr gallery import gallery.parquet --out copy --model photos",
    "cmr gallery info runs/pets/gallery",
    "cmr gallery verify runs/pets/gallery",
    "cmr gallery compact runs/pets/gallery",
}
"""Examples that are run; the others train, serve, publish, or need a network or a server."""


def test_every_command_has_three() -> None:
    assert EXAMPLES.keys() == {name for name, _ in commands(cli.app)}
    every = [example for three in EXAMPLES.values() for example in three]
    assert len(set(every)) == len(every) == 3 * len(EXAMPLES)
    assert set(every) >= RUN


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_shows_them_and_they_are_understood(cmr, name: str) -> None:
    short = ["data", "get"] if name == "data get" else name.split()
    code, out, _ = cmr(*short, "--help")
    assert code == 0
    for example in EXAMPLES[name]:
        assert example in out
        words = shlex.split(example.partition(" > ")[0])[1:]
        command = typer.main.get_command(cli.app)
        context = command.make_context("cmr", list(words))
        while hasattr(command, "commands"):  # a group gives on what it does not know
            _, command, words = command.resolve_command(
                context, [*context._protected_args, *context.args]
            )
            context = command.make_context(command.name, words, parent=context)
        assert context.command.name == name.rsplit(maxsplit=1)[-1]


@pytest.fixture(scope="module")
def home(tmp_path_factory, colour_folder: Path, saved_model: Path) -> Path:
    """A home with pictures, in which there are a model and names."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(colour_folder, folder / "Pictures" / "pets")
    Image.new("RGB", (32, 32), "green").save(folder / "dog.jpg")
    shutil.copytree(saved_model, folder / "runs" / "pets")
    (folder / "names.txt").write_text("a dog\na cat\n")
    row = '[{"file_name": "flame0.png", "caption": "fire", "year": 2021}]'
    (folder / "annotations.json").write_text(row)
    return folder


def test_examples_run(cmr, home: Path, monkeypatch) -> None:
    """In the order in which one needs what another made."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CMR_DATA_HOME", str(home / "data"))
    first = [one for one in sorted(RUN) if one.startswith("cmr index")]
    for example in [*first, *(one for one in EXAMPLES_IN_ORDER if one not in first)]:
        code, out, err = cmr(*[_expanded(word, home) for word in shlex.split(example)[1:]])
        assert code == 0, (example, err)
        assert out or "--paths" in example, example
    made = {"gallery.parquet", "gallery.csv", "for-fiftyone", "copy", "hits.html"}
    assert made <= {path.name for path in home.iterdir()}


EXAMPLES_IN_ORDER = [one for three in EXAMPLES.values() for one in three if one in RUN]


def _expanded(word: str, home: Path) -> str:
    """What a shell does to it."""
    return f"{home}{word[1:]}" if word.startswith("~/") else word


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serch"], "Did you mean 'search'?"),
        (["gallery", "inof"], "Did you mean 'info'?"),
        (["search", "g", "a", "--targt", "image"], "--target"),
        (["data", "flickr8"], "Did you mean flickr8k?"),
        (["models", "siglip3"], "did you mean siglip or siglip2"),
        (
            ["train", "folder", "--root", ".", "--out", "x", "--preset", "captoins"],
            "mean captions?",
        ),
        (["gallery", "export", "g", "--out", "x", "--format", "parket"], "parquet"),
    ],
)
def test_a_wrong_name_is_corrected(cmr, tmp_path, monkeypatch, words, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = cmr(*words)
    assert code == 2
    assert message in err


def test_data_get_of_what_cannot_be_fetched(cmr, tmp_path, monkeypatch) -> None:
    code, _, err = cmr("data", "get", "flickr8k", "--to", tmp_path / "f")
    assert code == 2
    assert "Get it from http" in err
    assert "Expected layout" in err
    assert "comes with the package" in cmr("data", "get", "sketches")[2]
    monkeypatch.delenv("CMR_DATA_HOME", raising=False)
    assert "--to DIR, or set CMR_DATA_HOME" in cmr("data", "get", "coco")[2]
    assert {"wikipedia", "coco"} <= SOURCES.keys()
