"""What `cmr search` says beside the hits, and what it is told to leave out."""

import json

from cmr_hub import load
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
