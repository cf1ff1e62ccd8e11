"""`cmr gallery duplicates`, and the options of `cmr index` and `cmr search` about changes."""

import json
import shutil

import pytest
from films import film
from PIL import Image

from cmr_hub.cli.options import console
from cmr_hub.datasets.images import read_image
from cmr_hub.gallery.gallery import Gallery


@pytest.fixture
def pictures(colour_folder, tmp_path):
    """Four pictures, with a copy of one in bytes and a copy of another as a larger file."""
    base = tmp_path / "pictures"
    base.mkdir()
    for name in ("sea0.png", "sea1.png", "grass0.png", "flame0.png"):
        shutil.copy(colour_folder / "test" / name, base)
    shutil.copy(base / "sea0.png", base / "sea0 copy.png")
    with Image.open(base / "grass0.png") as image:
        image.resize((80, 60), Image.Resampling.BICUBIC).save(base / "grass0 large.png")
    return base


@pytest.fixture
def gallery(cmr, pictures, saved_model, tmp_path):
    out = tmp_path / "g"
    code, _, err = cmr("index", pictures, "--out", out, "--model", saved_model)
    assert code == 0, err
    return out


def test_duplicates_as_table_json_and_contact_sheet(cmr, gallery, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(console, "_width", 400)  # no path is folded
    before = sorted(pictures.iterdir())
    code, text, _ = cmr("gallery", "duplicates", gallery, "--alike", 1)
    assert code == 0
    size = f"{(pictures / 'sea0.png').stat().st_size:,} bytes"
    lines = [line for line in text.splitlines() if "sea0" in line]
    assert len(lines) == 2
    assert all("same bytes" in line and size in line and "20" in line for line in lines)
    assert "groups: 1 same bytes, 1 same picture, 0 alike" in text
    _, text, _ = cmr("gallery", "duplicates", gallery, "--kind", "same-picture", "--json")
    (group,) = json.loads(text)
    assert group["kind"] == "same picture"
    names = [item["path"].rpartition("/")[2] for item in group["items"]]
    assert names == ["grass0 large.png", "grass0.png"]
    assert {"size", "modified"} <= group["items"][0]["metadata"].keys()
    page = tmp_path / "page.html"
    _, text, _ = cmr("gallery", "duplicates", gallery, "--contact-sheet", page, "--alike", 1)
    assert f"shown in {page}" in text
    html = page.read_text()
    assert html.count("data:image/jpeg;base64,") == 4
    assert html.index("1. same bytes") < html.index("2. same picture")
    assert sorted(pictures.iterdir()) == before
    assert len(Gallery.open(gallery)) == 6
    code, _, err = cmr("gallery", "duplicates", gallery, "--kind", "equal")
    assert code == 2
    assert "unknown kind 'equal'" in err


def test_search_shows_one_of_each_unless_asked(cmr, gallery):
    _, text, _ = cmr("search", gallery, "flame", "--json")
    assert sorted(hit["duplicates"] for hit in json.loads(text)) == [0, 0, 1, 1]
    _, text, _ = cmr("search", gallery, "flame", "--all-copies", "--json")
    assert len(json.loads(text)) == 6
    assert cmr("search", gallery, "flame")[1].count("and 1 more") == 2


def test_videos(cmr, colour_folder, saved_model, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(console, "_width", 400)
    base, out, copy = tmp_path / "films", tmp_path / "g", tmp_path / "copy"
    base.mkdir()
    path = film(base / "movie.mp4")
    assert cmr("index", base, "--out", out, "--model", saved_model)[0] == 0
    _, text, _ = cmr("search", out, "flame")
    assert "and 2 more" in text
    assert "movie.mp4#t=" in text
    _, text, _ = cmr(
        "search", out, "flame", "--all-copies", "--where", "video LIKE 'movie%'", "--json"
    )
    hits = json.loads(text)
    assert {hit["path"] for hit in hits} == {f"{path}#t={at}" for at in (0, 1, 2)}
    assert {hit["metadata"]["time"] for hit in hits} == {0, 1, 2}
    _, text, _ = cmr("search", out, "flame", "--all-copies", "--paths")
    assert text.splitlines() == [str(path)]
    cmr("search", out, "flame", "--open", "1")
    assert opened == [path.as_uri()]
    cmr("search", out, "flame", "--html", tmp_path / "page.html", "--all-copies")
    assert (tmp_path / "page.html").read_text().count("data:image/jpeg;base64,") == 3
    assert "no longer exist" not in cmr("gallery", "verify", out)[1]
    _, text, _ = cmr("gallery", "duplicates", out, "--alike", ".01")
    assert "groups: 0 same bytes, 0 same picture, 0 alike" in text
    # A copy of the pictures has the frames.
    Gallery.open(out).copy_pictures(copy)
    frame = copy / "movie.mp4#t=2"
    with Image.open(frame) as image:
        assert image.size == (64, 48)
    assert read_image(frame).size == (64, 48)
    path.unlink()
    assert "3 pictures no longer exist" in cmr("gallery", "verify", out)[1]


def test_changes_of_a_folder(cmr, gallery, pictures, saved_model):
    def index(*options):
        command = ("index", pictures, "--out", gallery, "--model", saved_model, *options)
        code, text, err = cmr(*command)
        return code, text + err

    moved = pictures.with_name("moved")
    pictures.rename(moved)
    assert index()[0] == 2
    (_, text, _) = cmr("index", moved, "--out", gallery, "--model", saved_model)
    assert "0 added, 0 updated, 6 moved" in text
    moved.rename(pictures)
    assert "6 moved" in index()[1]
    assert "4 removed" in index("--exclude", "sea*", "--exclude", "*large*")[1]
    assert "4 added" in index()[1]
    cmr("gallery", "remove", gallery, "--where", "path LIKE '%sea1%'")
    assert "1 skipped, because they were removed" in index()[1]
    assert "1 added" in index("--restore")[1]
    (pictures / "sub").mkdir()
    (pictures / "sea1.png").rename(pictures / "sub" / "sea1.png")
    assert "1 moved" in index()[1]
    shutil.rmtree(pictures / "sub")
    assert "1 pictures no longer exist but remain" in index()[1]
    assert "1 removed" in index("--prune")[1]
    cmr("gallery", "remove", gallery, "--where", "path LIKE '%'")
    code, text = index()
    assert (code, "5 skipped, because they were removed" in text) == (0, True)
    assert "5 added" in index("--restore")[1]
    other = shutil.copytree(pictures, pictures.with_name("other"))
    (pictures / "linked").symlink_to(other)
    assert "0 added" in index()[1]
    assert "5 added" in index("--follow-links")[1]
    shutil.rmtree(pictures)
    code, text = index("--prune")
    assert code == 0
    assert "10 removed" in text


def test_watching_ends_cleanly_and_tells_what_fails(
    cmr, gallery, pictures, saved_model, monkeypatch
):
    from cmr_hub.errors import CMRError
    from cmr_hub.gallery.indexing import index, watch

    monkeypatch.setattr(watch, "_RETRY", 0.0)
    monkeypatch.setattr(watch, "_POLL", 50)
    passes = iter([CMRError("the gallery is in use"), None, KeyboardInterrupt()])
    index_folder = index.index_folder

    def update(*arguments, **options):
        if (error := next(passes)) is not None:
            raise error
        (pictures / "sea1.png").touch()
        return index_folder(*arguments, **options)

    monkeypatch.setattr(index, "index_folder", update)
    monkeypatch.setattr(watch, "_QUIET", 50)
    code, text, err = cmr("index", pictures, "--out", gallery, "--model", saved_model, "--watch")
    assert code == 0, err
    assert "the gallery is in use" in text + err
    assert "1 updated" in text
    (pictures / "sea1.png").touch()
    assert "stopped watching" in text
