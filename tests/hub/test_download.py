"""Models from a Hub: the unpatched client over HTTP."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import hub_calls
import pytest
from hostile import HOSTILE, hostile_copy, words
from hub_repository import Fault
from hub_server import TOKEN

from cmr_hub.errors import HubError, ModelFormatError

NAME = "user/cmr-pascal"
SERVABLE = [name for name in HOSTILE if "link" not in name and name != "a pipe"]


@pytest.fixture
def home(server, saved_model):
    """The server with the saved model; without its gallery, which points at local pictures."""
    server.commit = server.put(NAME, saved_model)
    return server


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_same_embeddings_to_the_bit(home, client, cache, saved_model, colour_folder):
    pictures = sorted((colour_folder / "test").glob("*.png"))
    there = client(hub_calls.vectors, NAME, pictures, cache_dir=cache)
    here = client(hub_calls.vectors, saved_model, pictures)
    assert hub_calls.same(there, here)
    assert there["gallery"] == here["gallery"] == 12


def test_only_a_models_files_are_fetched(home, client, cache, saved_model, tmp_path):
    folder = shutil.copytree(saved_model, tmp_path / "m")
    (folder / "notes.txt").write_text("not for everyone")
    home.put(NAME, folder)
    client(hub_calls.vectors, NAME, cache_dir=cache)
    assert not [path for path in cache.rglob("*") if path.name == "notes.txt"]
    assert not any("notes.txt" in request for request in home.requests)


def test_a_pinned_commit_in_the_cache_makes_no_request(home, client, cache):
    first = client(hub_calls.vectors, NAME, cache_dir=cache, revision=home.commit)
    assert home.requests
    home.requests.clear()
    again = client(hub_calls.vectors, NAME, cache_dir=cache, revision=home.commit)
    assert hub_calls.same(first, again)
    assert home.requests == []


def test_local_files_only(home, client, cache):
    options = {"cache_dir": cache, "local_files_only": True}
    with pytest.raises(HubError, match=r"not complete in the Hub's cache.*local_files_only"):
        client(hub_calls.vectors, NAME, **options)
    assert home.requests == []
    first = client(hub_calls.vectors, NAME, cache_dir=cache)
    home.requests.clear()
    assert hub_calls.same(first, client(hub_calls.vectors, NAME, **options))
    assert home.requests == []


def test_offline_by_the_environment(home, client, cache):
    client(hub_calls.vectors, NAME, cache_dir=cache)
    home.requests.clear()
    code = (
        "from cmr_hub import load\nfrom cmr_hub.errors import HubError\n"
        f"print(len(load({NAME!r}, cache_dir={str(cache)!r}).encode_texts(['flame'])))\n"
        "try:\n    load('user/other')\nexcept HubError as error:\n    print(error)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": home.url}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("1\n")
    assert "no model directory user/other; and on the Hub: user/other is not complete" in run.stdout
    assert "HF_HUB_OFFLINE is set" in run.stdout
    assert home.requests == []


def test_a_branch_that_has_moved_on(home, client, cache, saved_model, tmp_path):
    first = client(hub_calls.vectors, NAME, cache_dir=cache)
    other = shutil.copytree(saved_model, tmp_path / "m")
    damage, _ = HOSTILE["a wrong shape"]
    damage(other)
    home.put(NAME, other)
    message, *_ = client(hub_calls.refused, NAME, cache_dir=cache)
    assert "layers.1.weight" in message
    pinned = client(hub_calls.vectors, NAME, cache_dir=cache, revision=home.commit)
    assert hub_calls.same(first, pinned)


def test_force_download(home, client, cache):
    client(hub_calls.vectors, NAME, cache_dir=cache, revision=home.commit)
    home.requests.clear()
    client(hub_calls.vectors, NAME, cache_dir=cache, revision=home.commit, force_download=True)
    assert any("resolve" in request or "cdn" in request for request in home.requests)


def damaged(cache: Path, name: str) -> Path:
    """Changes one byte of a file in the cache."""
    (path,) = cache.rglob(name)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.resolve().write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["model.safetensors", "text_encoder.json", "items-*"])
def test_damaged_in_the_cache_is_fetched_again(home, client, cache, name):
    first = client(hub_calls.vectors, NAME, cache_dir=cache, revision=home.commit)
    path = damaged(cache, name)
    pinned = {"cache_dir": cache, "revision": home.commit}
    message, *_ = client(hub_calls.refused, NAME, local_files_only=True, **pinned)
    assert path.name in message
    again = client(hub_calls.vectors, NAME, **pinned)
    assert hub_calls.same(first, again)


def test_half_of_the_cache_is_gone(home, client, cache):
    first = client(hub_calls.vectors, NAME, cache_dir=cache, revision=home.commit)
    (path,) = cache.rglob("history.json")
    path.resolve().unlink()
    path.unlink(missing_ok=True)
    pinned = {"cache_dir": cache, "revision": home.commit}
    with pytest.raises(HubError, match="not complete"):
        client(hub_calls.vectors, NAME, local_files_only=True, **pinned)
    again = client(hub_calls.vectors, NAME, **pinned)
    assert hub_calls.same(first, again)


def test_a_connection_cut_in_the_middle_of_a_file(home, client, cache, saved_model):
    home.faults.append(Fault("GET /cdn/", 0))
    home.faults.append(Fault("GET .*/resolve/.*text_encoder.json", 0))
    there = client(hub_calls.vectors, NAME, cache_dir=cache)
    assert [fault.times for fault in home.faults] == [0, 0]
    assert hub_calls.same(there, client(hub_calls.vectors, saved_model))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_hub_is_asked_again(home, client, cache, saved_model, status):
    home.faults.append(Fault(f"GET /api/models/{NAME}$", status, headers={"Retry-After": "0"}))
    home.faults.append(Fault("GET .*/tree/", status, headers={"Retry-After": "0"}))
    there = client(hub_calls.vectors, NAME, cache_dir=cache)
    assert [fault.times for fault in home.faults] == [0, 0]
    assert hub_calls.same(there, client(hub_calls.vectors, saved_model))


@pytest.mark.faults
def test_a_hub_that_is_out_of_order(home, client, cache):
    home.faults.append(Fault("GET", 503, times=1000))
    with pytest.raises(HubError, match=r"busy or unavailable \(503\): try again later"):
        client(hub_calls.vectors, NAME, cache_dir=cache)
    home.faults.clear()
    first = client(hub_calls.vectors, NAME, cache_dir=cache)
    home.faults.append(Fault("GET", 503, times=1000))
    assert hub_calls.same(first, client(hub_calls.vectors, NAME, cache_dir=cache))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("user/absent", {}, "there is no repository user/absent on the Hub, or it is private"),
        (NAME, {"revision": "v9"}, "has no such revision"),
        (NAME, {"revision": "0" * 40}, "has no such revision"),
        ("user/secret", {}, "no repository user/secret on the Hub, or it is private"),
        ("user/gated", {}, "user/gated is gated: ask for access"),
    ],
)
def test_what_cannot_be_had(home, client, cache, saved_model, name, options, message):
    for other, attribute in (("user/secret", "private"), ("user/gated", "gated")):
        home.put(other, saved_model)
        setattr(home.repositories["model", other], attribute, True)
    with pytest.raises(HubError, match=message):
        client(hub_calls.vectors, name, cache_dir=cache, **options)
    if name in ("user/secret", "user/gated"):
        client(hub_calls.vectors, name, cache_dir=cache, token=TOKEN)
    assert not any(TOKEN in path.read_text() for path in cache.rglob("*.json"))


def test_a_server_that_sends_the_token_back(home, client, cache):
    home.faults.append(
        Fault("GET", 403, times=99, body=TOKEN, headers={"X-Error-Message": f"bad token {TOKEN}"})
    )
    with pytest.raises(HubError, match=r"refused the request for .* \(403\).*\*\*\*") as caught:
        client(hub_calls.vectors, NAME, cache_dir=cache, token=TOKEN)
    assert TOKEN not in repr(caught.value)
    assert TOKEN not in str(caught.getrepr(chain=True))


def test_not_a_model(home, client, cache, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "README.md").write_text("nothing here")
    home.put("user/empty", tmp_path / "m")
    with pytest.raises(ModelFormatError, match="user/empty is neither a model of this library nor"):
        client(hub_calls.vectors, "user/empty", cache_dir=cache)


@pytest.mark.parametrize("name", SERVABLE)
def test_hostile_repositories(home, client, cache, saved_model, tmp_path, name):
    directory, message = hostile_copy(saved_model, tmp_path / "m", name)
    home.put("user/hostile", directory)
    said, seconds, megabytes = client(hub_calls.refused, "user/hostile", cache_dir=cache)
    assert re.search(message.replace("incomplete: ", ""), said)
    assert seconds < 2
    assert megabytes < 200
    assert {path.name for path in tmp_path.iterdir()} <= {"m", "cache"}


def test_words_from_files_of_this_machine(home, client, cache, saved_model, tmp_path):
    directory = shutil.copytree(saved_model, tmp_path / "m")
    words(lambda content: content["settings"]["options"].update(source="../../x"))(directory)
    home.put("user/hostile", directory)
    message, *_ = client(hub_calls.refused, "user/hostile", cache_dir=cache)
    assert "may not read other files of this machine" in message


def test_a_gallery_of_pictures_of_this_machine(home, client, cache, saved_model, colour_folder):
    """What the manifest says is not believed: the saved model's names a folder that is there."""
    for path in client(hub_calls.pictures, saved_model):
        assert Path(path).is_relative_to(colour_folder)
    for path in client(hub_calls.pictures, NAME, cache_dir=cache):
        assert Path(path).is_relative_to(cache)
