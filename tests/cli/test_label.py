"""`cmr label`, as its console script runs it."""

from __future__ import annotations

import io
import json
import re
import shutil
from types import SimpleNamespace

import pytest

from cmr_hub import load
from cmr_hub.cli.label import read_names
from cmr_hub.errors import DataFormatError, DataNotFoundError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing.index import index_folder


@pytest.fixture(scope="session")
def indexed(saved_model, colour_folder, tmp_path_factory):
    """A gallery of the 36 coloured pictures. Tests take a copy."""
    out = tmp_path_factory.mktemp("indexed") / "gallery"
    index_folder(Gallery.create(out, load(saved_model), model_name=str(saved_model)), colour_folder)
    return out


@pytest.fixture
def gallery(indexed, tmp_path):
    return shutil.copytree(indexed, tmp_path / "gallery")


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(b"\xef\xbb\xbf# colours\nflame\r\n\n  sea  \n\t# no more\ngrass\n")
    return path


def test_counts_and_what_can_be_asked_for(cmr, gallery, names, saved_model):
    code, out, err = cmr("label", gallery, "--names", names)
    assert code == 0, err
    counts = {
        name: int(count) for name, count in re.findall(r"│ (flame|sea|grass) +│ +(\d+) │", out)
    }
    labels = Gallery.open(gallery).items["zero_shot"].to_pylist()
    assert counts == {name: labels.count(name) for name in set(labels)}
    assert sum(counts.values()) == 36
    unused = 3 - len(counts)
    assert (f"{unused} names are not the best match of any picture" in out) == bool(unused)
    model = load(saved_model)
    best = next(iter(counts))
    code, out, _ = cmr(
        *("search", gallery, "flame", "--json", "-k", 50, "--where", f"zero_shot = '{best}'")
    )
    hits = json.loads(out)
    assert len(hits) == counts[best]
    for hit in hits[:3]:
        expected = model.classify([hit["path"]], ["flame", "sea", "grass"])[0][0]
        assert hit["metadata"]["zero_shot"] == expected.name
        assert hit["metadata"]["zero_shot_probability"] == pytest.approx(
            expected.probability, abs=1e-4
        )


def test_all_options(cmr, gallery, names, saved_model):
    templates = ["a picture of {}", "{} seen"]
    shown = [part for one in templates for part in ("--template", one)]
    code, out, err = cmr(
        *("label", gallery, "--names", names, *shown, "--column", "colour"),
        *("--model", saved_model, "--min-probability", 1),
    )
    assert code == 0, err
    assert re.search(r"\(no name\) +│ +36 ", out)
    items = Gallery.open(gallery).items
    assert items["colour"].null_count == 36
    paths = items["path"].to_pylist()
    scores = load(saved_model).classify(paths, ["flame", "sea", "grass"], template=templates)
    for path, row, probability in zip(
        paths, scores, items["colour_probability"].to_pylist(), strict=True
    ):
        assert probability == pytest.approx(row[0].probability, abs=1e-4), path


def test_names_from_the_standard_input(cmr, gallery, monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"sea\nflame\n")))
    code, _, err = cmr("label", gallery, "--names", "-")
    assert code == 0, err
    assert set(Gallery.open(gallery).items["zero_shot"].to_pylist()) <= {"sea", "flame"}


def test_lines_of_names(tmp_path, names):
    assert read_names(str(names)) == ["flame", "sea", "grass"]
    wrong = tmp_path / "wrong.txt"
    wrong.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataFormatError, match="not UTF-8 text"):
        read_names(str(wrong))
    wrong.write_bytes(b"sea\n" * 2**22 + b"x")
    with pytest.raises(DataFormatError, match="at most 16 MiB"):
        read_names(str(wrong))
    for absent in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataNotFoundError, match="cannot read the names"):
            read_names(str(absent))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["GALLERY", "--names", "ABSENT"], "cannot read the names"),
        (["GALLERY", "--names", "EMPTY"], "name of at least one class"),
        (["GALLERY", "--names", "UNKNOWN"], "the class 'wug'"),
        (["GALLERY", "--names", "NAMES", "--column", "sha256"], "is reserved"),
        (["GALLERY", "--names", "NAMES", "--column", ""], "not a valid column name"),
        (["GALLERY", "--names", "NAMES", "--template", "a photo"], "once and no other braces"),
        (["GALLERY", "--names", "NAMES", "--model", "sketch"], "of model"),
        (["GALLERY", "--names", "NAMES", "--min-probability", "2"], "between 0 and 1, not 2.0"),
        (["sketch", "--names", "NAMES"], "there is no gallery in sketch"),
        (["GALLERY"], "Missing option"),
    ],
)
def test_errors_say_what_to_do(cmr, gallery, names, tmp_path, arguments, message):
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "unknown.txt").write_text("sea\nwug\n")
    files = {
        "GALLERY": gallery,
        "NAMES": names,
        "ABSENT": tmp_path / "absent",
        "EMPTY": tmp_path / "empty.txt",
        "UNKNOWN": tmp_path / "unknown.txt",
    }
    before = Gallery.open(gallery).items
    code, _, error = cmr("label", *(files.get(part, part) for part in arguments))
    assert code == 2
    assert message in re.sub(r"\s*\n[│ ]*", " ", error)
    assert Gallery.open(gallery).items == before
