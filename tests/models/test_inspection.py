"""What may lie in a model directory; what may not is in tests/hub/test_hostile.py."""

import json
import shutil

import pytest

from cmr_hub.errors import ModelFormatError
from cmr_hub.hub_download import is_repository
from cmr_hub.models.inspection import inspect_directory, refuse_local_sources


def test_a_card_and_notes_are_no_harm(saved_model, tmp_path):
    directory = shutil.copytree(saved_model, tmp_path / "m")
    (directory / "README.md").write_text("a card")
    (directory / ".gitattributes").write_text("*.safetensors filter=lfs")
    (directory / "card").mkdir()
    (directory / "card" / "curves.png").write_bytes(b"png")
    inspect_directory(directory)


def test_links_of_the_hub_cache_lead_into_its_store(saved_model, tmp_path):
    snapshot = tmp_path / "models--user--name" / "snapshots" / ("0" * 40)
    shutil.copytree(saved_model, snapshot)
    blob = tmp_path / "models--user--name" / "blobs" / "abc"
    blob.parent.mkdir()
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    inspect_directory(snapshot)
    outside = blob.rename(tmp_path / "abc")
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").symlink_to(outside)
    with pytest.raises(ModelFormatError, match="link that leads out"):
        inspect_directory(snapshot)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("user/name", True),
        ("user/a.b-c_d", True),
        ("default", False),
        ("../name", False),
        ("/user/name", False),
        ("~/name", False),
        ("a/b/c", False),
        ("user/", False),
        ("user/na me", False),
    ],
)
def test_names_of_repositories(name, is_one):
    assert is_repository(name) is is_one


def words_from(folder, *sources):
    parts = [{"options": {"source": source}} for source in sources]
    content = {"name": "concat", "settings": {"options": {}, "parts": parts}}
    (folder / "text_encoder.json").write_text(json.dumps(content))
    return folder


def test_sources_of_a_downloaded_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user" / "here").mkdir(parents=True)
    refuse_local_sources(tmp_path)
    refuse_local_sources(words_from(tmp_path, "offline-minilm", "sentence-transformers/x", None))
    for source in ("../x", "/etc", "~", "~/x", "x", "user/here", ["a/b"], 3):
        with pytest.raises(ModelFormatError, match="may not read other files of this machine"):
            refuse_local_sources(words_from(tmp_path, "offline-minilm", source))
