"""`cmr index`, `cmr search` and `cmr gallery`, as their console script runs them."""

import json
import re
import shutil
import sys

import pytest

from cmr_hub import cli, load
from cmr_hub.errors import CMRError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.loading import open_gallery


@pytest.fixture(scope="session")
def indexed(saved_model, colour_folder, tmp_path_factory):
    """A gallery of the 36 coloured pictures."""
    out = tmp_path_factory.mktemp("indexed") / "gallery"
    command = ["cmr", "index", colour_folder, "--out", out, "--model", saved_model]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", list(map(str, command)))
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert end.value.code == 0
    return out


def test_indexed_twice(cmr, indexed, saved_model, colour_folder, tmp_path):
    out = shutil.copytree(indexed, tmp_path / "g")
    code, text, _ = cmr("index", colour_folder, "--out", out, "--model", saved_model)
    assert code == 0
    assert "36 pictures: 0 added, 0 updated, 0 moved, 36 unchanged; 0 removed" in text
    assert "0 without caption, 0 rows without image, 0 unreadable" in text
    assert f"36 items in {out}" in text


def test_the_help_shows_the_asterisks_of_patterns(cmr):
    _, text, _ = cmr("index", "--help")
    assert "*.png" in text
    assert "2019/**/raw" in text


def test_search_loads_the_model_that_the_gallery_names(cmr, indexed, saved_model):
    gallery = Gallery.open(indexed, load(saved_model))
    code, text, _ = cmr(
        *("search", indexed, "flame", "--json", "-k", 5, "--offset", 2),
        *("--where", "label = 'sea' AND folder = 'train'", "--min-score", "-1"),
    )
    assert code == 0
    expected = gallery.search("flame", 5, offset=2, where="label = 'sea' AND folder = 'train'")
    hits = json.loads(text)
    assert [hit["id"] for hit in hits] == [hit.id for hit in expected]
    assert {hit["label"] for hit in hits} == {"sea"}
    assert [hit["rank"] for hit in hits] == [3, 4, 5, 6, 7]


def test_a_picture_and_a_sentence_at_once(cmr, indexed, saved_model, colour_folder):
    from cmr_hub.gallery.query import Mix

    picture = colour_folder / "test" / "sea0.png"
    gallery = open_gallery(indexed)
    code, text, _ = cmr(
        *("search", indexed, "flame", "--image", picture, "--weight", "-0.5"),
        *("--target", "image", "--json"),
    )
    assert code == 0
    expected = gallery.search(Mix((1, picture), (-0.5, "flame")), target="image")
    assert [hit["id"] for hit in json.loads(text)] == [hit.id for hit in expected]
    code, _, told = cmr("search", indexed, "flame", "--weight", "-0.5")
    assert code == 2
    assert "--weight needs a sentence and a picture" in told


def test_contact_sheet(cmr, indexed, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    page = tmp_path / "hits.html"
    code, _, _ = cmr("search", indexed, "flame <b>", "-k", 4, "--html", page, "--open")
    assert code == 0
    assert shown == [page.as_uri()]
    text = page.read_text()
    assert text.count('src="data:image/jpeg;base64,') == 4
    assert "flame &lt;b&gt;" in text
    assert "<b>" not in text


def test_looking_after_a_gallery(cmr, indexed, tmp_path):
    out = shutil.copytree(indexed, tmp_path / "g")
    _, text, _ = cmr("gallery", "info", out)
    assert "36 image, 36 text, 6 dimensions" in text
    assert "label, taken, taken_offset, year" in text
    assert f"{out} is intact: 36 items" in cmr("gallery", "verify", out)[1]
    _, text, _ = cmr("gallery", "remove", out, "--where", "label = 'sea'")
    assert "12 removed, 24 left" in text
    assert "is compact: 24 items" in cmr("gallery", "compact", out)[1]
    (vectors,) = out.glob("vectors-*")
    vectors.write_bytes(vectors.read_bytes()[:-1])
    code, _, error = cmr("gallery", "verify", out)
    assert code == 2
    assert vectors.name in error.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "GALLERY", "flame", "--where", "colour = 1"], "no column 'colour'"),
        (["search", "GALLERY", "flame", "--where", "label ="], "cannot understand the condition"),
        (["search", "EMPTY", "flame"], "no gallery in"),
        (["gallery", "info", "EMPTY"], "not a gallery"),
        (["gallery", "remove", "GALLERY"], "give the items to remove"),
        (["index", "EMPTY", "--out", "NEW"], "no pictures in"),
        (["index", "NEW", "--out", "NEW"], "not a folder"),
        (["index", "EMPTY", "--out", "PICTURES"], "is not a gallery"),
        (["index", "PICTURES", "--out", "GALLERY", "--model", "sketch"], "of model"),
    ],
)
def test_errors_say_what_to_do(
    cmr, indexed, saved_model, colour_folder, tmp_path, arguments, message
):
    (tmp_path / "empty").mkdir()
    names = {
        "GALLERY": indexed,
        "EMPTY": tmp_path / "empty",
        "NEW": tmp_path / "new",
        "PICTURES": colour_folder,
    }
    command = [names.get(part, part) for part in arguments]
    if command[0] == "index" and "--model" not in command:
        command += ["--model", saved_model]
    code, _, error = cmr(*command)
    assert code == 2
    assert "Traceback" not in error
    assert message in error


def test_hits_as_a_table(cmr, saved_model, colour_folder, tmp_path) -> None:
    """Without columns that no hit has, and paths whole, over several lines where they are long."""
    bare = tmp_path / ("a-long-name-without-spaces" * 9)
    bare.mkdir()
    for name in ("sea0.png", "sea1.png"):
        shutil.copy(colour_folder / "test" / name, bare)
    code, _, err = cmr("index", bare, "--out", tmp_path / "g", "--model", saved_model)
    assert code == 0, err
    code, out, err = cmr("search", tmp_path / "g", "flame", "--model", saved_model)
    assert code == 0, err
    (heading,) = [line for line in out.splitlines() if "rank" in line]
    assert re.findall(r"\w+", heading) == ["rank", "score", "path"]
    paths = re.sub(r"\s", "", "".join(row.split("│")[3] for row in out.splitlines() if "│" in row))
    for name in ("sea0.png", "sea1.png"):
        assert str(bare / name) in paths


def test_all_that_is_passed_over_is_in_the_log(cmr, saved_model, colour_folder, tmp_path):
    folder = shutil.copytree(colour_folder, tmp_path / "pictures")
    for number in range(5):
        (folder / f"broken{number}.jpg").write_bytes(b"x")
    (folder / "film.mp4").write_bytes(b"x")
    command = ("index", folder, "--out", tmp_path / "g", "--model", saved_model)
    code, out, _ = cmr(*command, "--log", tmp_path / "log.txt")
    assert code == 0
    assert "skipped: 5 .jpg: it is not a JPEG" in out
    assert "skipped: 1 .mp4: it is not a video that can be read" in out
    assert "and 2 more; --log FILE lists all" in out
    lines = (tmp_path / "log.txt").read_text().splitlines()
    names = [*(f"broken{number}.jpg" for number in range(5)), "film.mp4"]
    assert [line.split("\t")[0] for line in lines] == [str(folder / name) for name in names]
    code, out, _ = cmr("search", tmp_path / "g", "flame", "--near", "48.2,16.4,10km")
    assert code == 0
    assert ".png" not in out
    # Also if there is nothing to index.
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "film.mp4").write_bytes(b"x")
    command = ("index", tmp_path / "films", "--out", tmp_path / "none", "--model", saved_model)
    code, _, err = cmr(*command, "--log", tmp_path / "none.txt")
    assert code == 2
    assert "there are no pictures" in err
    assert (tmp_path / "none.txt").read_text().startswith(str(tmp_path / "films" / "film.mp4"))
    code, _, err = cmr("search", tmp_path / "g", "flame", "--near", "here")
    assert code == 2
    assert "e.g. 48.2,16.4,10km" in err


@pytest.mark.parametrize("content", [None, b"x"])
def test_a_folder_without_a_readable_picture_leaves_no_gallery(cmr, saved_model, tmp_path, content):
    folder = tmp_path / "pictures"
    folder.mkdir()
    if content is not None:
        (folder / "a.jpg").write_bytes(content)
    out, log = tmp_path / "g", tmp_path / "log.txt"
    code, _, err = cmr("index", folder, "--out", out, "--model", saved_model, "--log", log)
    assert code == 2
    assert "no" in err
    assert not out.exists()
    assert content is None or log.read_text().startswith(f"{folder}/a.jpg\t")


@pytest.mark.parametrize("was_there", [False, True])
@pytest.mark.parametrize("error", [CMRError("no room"), KeyboardInterrupt()])
def test_a_failed_index_leaves_no_empty_gallery(
    cmr, saved_model, colour_folder, tmp_path, monkeypatch, was_there, error
):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("cmr_hub.gallery.indexing.index.index_folder", fail)
    out = tmp_path / "g"
    if was_there:
        out.mkdir()
    code, _, err = cmr("index", colour_folder, "--out", out, "--model", saved_model)
    assert code == (2 if isinstance(error, CMRError) else 130)
    assert "no room" in err or not isinstance(error, CMRError)
    assert out.exists() == was_there
    assert not was_there or not list(out.iterdir())


def test_a_failed_index_leaves_an_older_gallery(
    cmr, indexed, saved_model, colour_folder, tmp_path, monkeypatch
):
    def fail(*_, **__):
        raise CMRError("no room")

    out = shutil.copytree(indexed, tmp_path / "g")
    monkeypatch.setattr("cmr_hub.gallery.indexing.index.index_folder", fail)
    code, _, _ = cmr("index", colour_folder, "--out", out, "--model", saved_model)
    assert code == 2
    assert len(Gallery.open(out)) == 36
