"""Interrupted uploads to and downloads from a Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cmr_process import STOPPED, Cmr, Cut, Ended
from hub_server import TOKEN, HubServer

from cmr_hub.loading import load

pytestmark = pytest.mark.faults

NAME = "user/cmr-pascal"


@pytest.fixture
def server() -> Iterator[HubServer]:
    server = HubServer()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def with_pictures(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole") / "model"
    load(saved_model).save_pretrained(directory, pictures=True)
    return directory


def asked(cmr: Cmr, server: HubServer, home: Path, *arguments: object, **options: Any) -> Ended:
    environment = {
        "HF_ENDPOINT": server.url,
        "HF_HOME": str(home / "hf"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }
    return cmr(*arguments, **environment, **options)


def publish(
    cmr: Cmr, server: HubServer, home: Path, directory: Path, cut: Cut | None = None
) -> Ended:
    arguments = ("publish", directory, "--repo", NAME, "--yes")
    return asked(cmr, server, home, *arguments, cut=cut)


@pytest.mark.parametrize(
    ("do", "at", "after"),
    [
        ("stop", "cmr_hub.models.upload:Upload._commit", False),
        ("kill", "huggingface_hub.hf_api:HfApi.preupload_lfs_files", True),
    ],
    ids=["stopped before the files", "killed before the commit"],
)
def test_publishing_is_cut_short(
    cmr: Cmr,
    server: HubServer,
    saved_model: Path,
    with_pictures: Path,
    tmp_path: Path,
    do: str,
    at: str,
    after: bool,
) -> None:
    assert publish(cmr, server, tmp_path, saved_model).code == 0
    repository = server.repositories["model", NAME]
    before = dict(repository.branches)
    ended = publish(cmr, server, tmp_path, with_pictures, Cut(at, do, after=after))
    assert ended.code == (-9 if do == "kill" else 130)
    if do == "stop":
        assert ended.err.endswith(STOPPED)
        assert "Traceback" not in ended.err
    assert repository.branches == before
    again = publish(cmr, server, tmp_path, with_pictures)
    assert again.code == 0, again.err
    sent = repository.files()
    for file in with_pictures.rglob("*"):
        if file.is_file():
            assert sent[file.relative_to(with_pictures).as_posix()] == file.read_bytes()


def test_a_repository_made_for_nothing_goes_again(
    cmr: Cmr, server: HubServer, saved_model: Path, tmp_path: Path
) -> None:
    cut = Cut("cmr_hub.models.upload:Upload._commit", "stop")
    assert publish(cmr, server, tmp_path, saved_model, cut).code == 130
    assert server.repositories == {}
    # A killed process cannot clean up; it leaves an empty repository, which the next run fills.
    cut = Cut("cmr_hub.models.upload:Upload._commit")
    assert publish(cmr, server, tmp_path, saved_model, cut).code == -9
    assert list(server.repositories["model", NAME].files()) == [".gitattributes"]
    assert publish(cmr, server, tmp_path, saved_model).code == 0
    assert "config.json" in server.repositories["model", NAME].files()


def search(cmr: Cmr, server: HubServer, home: Path, cut: Cut | None = None) -> Ended:
    return asked(cmr, server, home, "search", NAME, "flame", "--json", cut=cut)


@pytest.mark.parametrize("after", [False, True])
def test_a_download_is_killed(
    cmr: Cmr, server: HubServer, with_pictures: Path, tmp_path: Path, after: bool
) -> None:
    server.put(NAME, with_pictures)
    whole = search(cmr, server, tmp_path / "one")
    assert whole.code == 0, whole.err
    home = tmp_path / "other"
    cut = Cut("huggingface_hub.file_download:http_get", nth=4, after=after)
    assert search(cmr, server, home, cut).code == -9
    again = search(cmr, server, home)
    assert again.code == 0, again.err
    assert again.out.replace(str(home), str(tmp_path / "one")) == whole.out


def test_a_download_to_a_full_disk(
    cmr: Cmr, server: HubServer, with_pictures: Path, disk: Any
) -> None:
    server.put(NAME, with_pictures)
    cut = disk.full_at("huggingface_hub.file_download:http_get", nth=4)
    line = search(cmr, server, disk.path, cut).error
    assert NAME in line
    assert "free some space" in line
    disk.make_room()
    again = search(cmr, server, disk.path)
    assert again.code == 0, again.err


def test_ctrl_c_at_the_question(
    cmr: Cmr, server: HubServer, saved_model: Path, tmp_path: Path
) -> None:
    cut = Cut("typer._click.termui:visible_prompt_func", "stop")
    ended = asked(cmr, server, tmp_path, "publish", saved_model, "--repo", NAME, cut=cut)
    assert (ended.code, ended.err.strip()) == (130, STOPPED.strip())
    assert server.repositories == {}
