"""Onto a Hub and back: the unpatched client over HTTP."""

import json
import logging
import shutil

import hub_calls
import pytest
from hub_repository import Fault
from hub_server import TOKEN

from cmr_hub.errors import HubError
from cmr_hub.loading import load

NAME = "user/cmr-pascal"


@pytest.fixture(scope="session")
def with_pictures(saved_model, tmp_path_factory):
    """The saved model with the pictures of its gallery; not to be changed."""
    directory = tmp_path_factory.mktemp("whole") / "best"
    load(saved_model).save_pretrained(directory, pictures=True)
    return directory


@pytest.fixture
def cmr(client):
    """`cmr ARGUMENTS` as someone who has logged in."""

    def run(*arguments, **options):
        return client(hub_calls.cmr, *arguments, **({"answer": "y\n", "token": TOKEN} | options))

    return run


def there(server, kind="model", name=NAME, branch="main"):
    return server.repositories[kind, name].files(branch)


# ---- push_to_hub


def test_pushed_and_loaded_to_the_bit(server, client, saved_model, tmp_path, colour_folder):
    pictures = sorted((colour_folder / "test").glob("*.png"))
    url = client(hub_calls.push, saved_model, NAME, token=TOKEN)
    commit = url.removeprefix(f"{server.url}/{NAME}/commit/")
    found = client(hub_calls.vectors, NAME, pictures, cache_dir=tmp_path / "cache", revision=commit)
    assert hub_calls.same(found, client(hub_calls.vectors, saved_model, pictures))
    assert found["gallery"] is None  # its pictures were not sent
    card = there(server)["README.md"].decode()
    assert f'load("{NAME}")' in card
    client(hub_calls.validate, card)


def test_pushed_with_pictures_to_a_private_branch(server, client, with_pictures, tmp_path):
    options = {"token": TOKEN, "pictures": True, "private": True, "branch": "trial"}
    client(hub_calls.push, with_pictures, NAME, **options)
    assert server.repositories["model", NAME].private
    assert list(there(server)) == [".gitattributes"]
    assert sum(path.startswith("pictures/") for path in there(server, branch="trial")) == 12
    found = client(hub_calls.vectors, NAME, cache_dir=tmp_path / "c", token=TOKEN, revision="trial")
    assert found["gallery"] == 12


def test_push_without_a_token(server, client, saved_model):
    with pytest.raises(HubError, match=r"refused the request for .* \(401\).*log in"):
        client(hub_calls.push, saved_model, NAME)
    assert server.repositories == {}


# ---- cmr publish


def test_published_and_loaded(server, client, cmr, with_pictures, tmp_path):
    code, out, err = cmr("publish", with_pictures, "--repo", NAME)
    assert code == 0, err
    for line in ("+ │ config.json", "+ │ model.safetensors", "23 new, 0 changed, 0 gone, 0 same"):
        assert line in out
    assert f"Uploaded: {server.url}/{NAME}/commit/" in out
    assert not (with_pictures / "README.md").exists()
    files = there(server)
    assert {"README.md", "card/common-space.png", "gallery/manifest.json"} <= files.keys()
    client(hub_calls.validate, files["README.md"].decode())
    found = client(hub_calls.vectors, NAME, cache_dir=tmp_path / "cache")
    assert hub_calls.same(found, client(hub_calls.vectors, with_pictures))
    assert found["gallery"] == 12

    # Again: nothing to do.
    before = dict(server.repositories["model", NAME].branches)
    code, out, err = cmr("publish", with_pictures, "--repo", NAME, answer="")
    assert code == 0, err
    assert "0 new, 0 changed, 0 gone, 23 same" in out
    assert "Everything is up to date." in out
    assert server.repositories["model", NAME].branches == before


def test_the_difference_is_shown_and_nothing_sent(server, cmr, with_pictures, tmp_path):
    assert cmr("publish", with_pictures, "--repo", NAME)[0] == 0
    repository = server.repositories["model", NAME]
    repository.commit("main", there(server) | {"NOTES.md": b"mine", "gallery/old.bin": b"old"})
    directory = shutil.copytree(with_pictures, tmp_path / "m")
    (directory / "README.md").write_text("---\nlicense: mit\n---\nMy own card.\n")
    before = there(server)
    for arguments, answer in ((["--dry-run"], ""), ([], "n\n")):
        code, out, err = cmr("publish", directory, "--repo", NAME, *arguments, answer=answer)
        assert code == (0 if arguments else 1), err
        assert "~ │ README.md" in out
        assert "- │ gallery/old.bin" in out
        assert "NOTES.md" not in out
        assert there(server) == before
    assert "Nothing was uploaded." in out
    assert cmr("publish", directory, "--repo", NAME, "--yes", answer="")[0] == 0
    assert there(server)["README.md"] == (directory / "README.md").read_bytes()
    assert "gallery/old.bin" not in there(server)
    assert there(server)["NOTES.md"] == b"mine"


def test_a_card_of_another_name_is_made_anew(server, cmr, with_pictures, tmp_path):
    directory = shutil.copytree(with_pictures, tmp_path / "m")
    assert cmr("publish", directory, "--card-only")[0] == 0
    local = (directory / "README.md").read_text(encoding="utf-8")
    assert 'load("m")' in local
    assert cmr("publish", directory, "--repo", NAME)[0] == 0
    sent = there(server)["README.md"].decode()
    assert sent == local.replace('load("m")', f'load("{NAME}")').replace(
        "CMR Hub: m\n", f"CMR Hub: {NAME.split('/')[1]}\n"
    ).replace("'CMR Hub: m'", f"'CMR Hub: {NAME.split('/')[1]}'")
    assert (directory / "README.md").read_text(encoding="utf-8") == local


def test_only_the_card(server, cmr, with_pictures, tmp_path):
    directory = shutil.copytree(with_pictures, tmp_path / "m")
    code, out, err = cmr("publish", directory, "--repo", NAME, "--card-only")
    assert code == 0, err
    assert "README.md" in out
    assert f'load("{NAME}")' in (directory / "README.md").read_text(encoding="utf-8")
    assert (directory / "card" / "common-space.png").is_file()
    assert ("model", NAME) not in server.repositories
    code, _, err = cmr("publish", directory)
    assert code == 2
    assert "--repo user/name" in " ".join(err.split())


def test_a_card_by_hand_where_none_can_be_made(server, cmr, saved_model, tmp_path):
    model = load(saved_model)
    model.training = {"figures": []}
    model.save_pretrained(tmp_path / "m")
    assert "write its card by hand" in cmr("publish", tmp_path / "m", "--repo", NAME)[2]
    (tmp_path / "m" / "README.md").write_text("My own card.")
    code, _, err = cmr("publish", tmp_path / "m", "--repo", NAME)
    assert code == 0, err
    assert there(server)["README.md"] == b"My own card."


def test_to_a_branch_and_as_a_pull_request(server, cmr, saved_model):
    assert cmr("publish", saved_model, "--repo", NAME, "--revision", "v2")[0] == 0
    assert "config.json" in there(server, branch="v2")
    assert "config.json" not in there(server)
    code, out, _ = cmr("publish", saved_model, "--repo", NAME, "--create-pr")
    assert code == 0
    assert f"Uploaded: {server.url}/{NAME}/discussions/1" in out
    assert "config.json" in there(server, branch="refs/pr/1")
    assert "config.json" not in there(server)


def test_goes_on_after_a_broken_connection(server, cmr, saved_model):
    server.faults += [
        Fault("PUT /upload/", 0),
        Fault("POST .*/preupload/", 503, headers={"Retry-After": "0"}),
        Fault("POST .*/commit/main", 502),
        Fault("POST /api/repos/create", 429),
    ]
    code, _, err = cmr("publish", saved_model, "--repo", NAME)
    assert code == 0, err
    assert [fault.times for fault in server.faults] == [0, 0, 0, 0]
    assert there(server)["model.safetensors"] == (saved_model / "model.safetensors").read_bytes()
    uploads = [request for request in server.requests if request.startswith("PUT /upload/")]
    assert len(uploads) == len(set(uploads)) + 1  # only the broken one is sent again


@pytest.mark.parametrize("broken", ["POST .*/commit/", "PUT /upload/"])
def test_a_failed_upload_leaves_all_as_it_was(server, cmr, saved_model, tmp_path, broken):
    server.faults.append(Fault(broken, 403, times=99))
    code, _, err = cmr("publish", saved_model, "--repo", NAME, "--revision", "v2")
    assert code == 2
    assert "error: the Hub refused the request for" in err
    assert "(403)" in err
    assert server.repositories == {}

    server.faults.clear()
    assert cmr("publish", saved_model, "--repo", NAME)[0] == 0
    repository = server.repositories["model", NAME]
    before = dict(repository.branches)
    directory = shutil.copytree(saved_model, tmp_path / "m")
    load(directory).save_pretrained(directory, pictures=True)
    server.faults.append(Fault(broken, 403, times=99))
    assert cmr("publish", directory, "--repo", NAME, "--revision", "v2")[0] == 2
    assert repository.branches == before


def test_the_token_is_nowhere(server, cmr, saved_model, tmp_path):
    echo = {"X-Error-Message": f"bad token {TOKEN}"}
    for fault in (Fault("POST", 403, times=99, headers=echo, body=TOKEN), None):
        server.faults = [fault] if fault else []
        # The network library's own debug log tells all that a server answers.
        level = logging.INFO if fault else logging.DEBUG
        code, out, err = cmr("publish", saved_model, "--repo", NAME, "--yes", log_level=level)
        assert code == (2 if fault else 0)
        assert TOKEN not in out
        assert TOKEN not in err
        assert "hf_" not in out + err
    for content in there(server).values():
        assert TOKEN.encode() not in content


def test_what_cannot_be_loaded_is_not_sent(server, cmr, saved_model, tmp_path):
    directory = shutil.copytree(saved_model, tmp_path / "m")
    (directory / "history.json").write_text("[]")
    code, _, err = cmr("publish", directory, "--repo", NAME)
    assert code == 2
    assert "history.json is damaged" in err
    (directory / "history.json").unlink()
    (directory / "weights.pt").write_bytes(b"")
    assert "weights.pt, which can run code" in cmr("publish", directory, "--repo", NAME)[2]
    assert "is not a model directory" in cmr("publish", tmp_path, "--repo", NAME)[2]
    assert "cannot be the name" in cmr("publish", saved_model, "--repo", "a/b/c")[2]
    assert server.repositories == {}


def test_with_results_and_a_space(server, client, cmr, with_pictures, tmp_path):
    results = tmp_path / "results"
    (results / "figures").mkdir(parents=True)
    (results / "runs.jsonl").write_text('{"seed": 1}\n')
    (results / "figures" / "a.png").write_bytes(b"png")
    (results / ".runs.lock").touch()
    code, out, err = cmr(
        *("publish", with_pictures, "--repo", NAME, "--space", "--dataset", results, "--yes")
    )
    assert code == 0, err
    assert out.count("Uploaded: ") == 3
    dataset = there(server, "dataset", f"{NAME}-results")
    assert set(dataset) == {".gitattributes", "README.md", "runs.jsonl", "figures/a.png"}
    space = there(server, "space")
    commit = server.repositories["model", NAME].branches["main"]
    assert f"revision='{commit}'" in space["app.py"].decode().replace('"', "'")
    assert f"{commit}\n" in space["README.md"].decode()
    client(hub_calls.validate, space["README.md"].decode())


def test_the_config_is_the_directorys(server, cmr, saved_model):
    assert cmr("publish", saved_model, "--repo", NAME, "--yes")[0] == 0
    sent = json.loads(there(server)["config.json"])
    assert sent == json.loads((saved_model / "config.json").read_text())
    assert "gallery/manifest.json" not in there(server)
