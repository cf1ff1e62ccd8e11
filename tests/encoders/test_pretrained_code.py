"""What a directory with a pretrained encoder may not hold, and its settings may not ask for."""

import json
import os
import shutil

import pytest
from tiny_clip import config

from cmr_hub import load
from cmr_hub.encoders.pretrained.files import PretrainedFiles
from cmr_hub.errors import CMRError, ModelFormatError

TEXT = {"context_length": 77, "vocab_size": 100}


@pytest.fixture
def folder(clip, tmp_path):
    return shutil.copytree(clip, tmp_path / "clip")


def refused(folder):
    with pytest.raises(ModelFormatError) as found:
        load(folder)
    message = str(found.value)
    assert "\n" not in message
    return message


# ---- what lies in a directory


def test_a_link_that_leads_out(folder, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "vocab.txt").symlink_to(tmp_path / "secret.txt")
    assert "vocab.txt is a link that leads out of the directory" in refused(folder)


def test_a_folder_that_leads_out(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "config.json").write_text("{}")
    (folder / "1_Pooling").symlink_to(tmp_path / "elsewhere")
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.CLIPModel"}
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert "is a link that leads out of the directory" in refused(folder)


def test_links_inside_and_in_the_hubs_cache_are_followed(clip, folder, tmp_path):
    (folder / "config.json").rename(folder / "config.kept")
    (folder / "config.json").symlink_to("config.kept")
    expected = load(clip).fingerprint
    assert load(folder).fingerprint == expected
    cache = tmp_path / "models--user--clip"
    snapshot = cache / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (cache / "blobs").mkdir()
    for path in clip.iterdir():
        shutil.copyfile(path, cache / "blobs" / path.name)
        (snapshot / path.name).symlink_to(cache / "blobs" / path.name)
    assert load(snapshot).fingerprint == expected


def test_a_link_to_nothing(folder):
    (folder / "vocab.txt").symlink_to("nowhere")
    assert "vocab.txt cannot be read" in refused(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors", "vocab.txt"])
def test_a_pipe(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert f"{name} is not a regular file: remove it" in refused(folder)


# ---- what settings ask for


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation"])
def test_a_kernel_of_another_repository(folder, key):
    config(folder, text_config={key: "user/kernel"})
    assert "names a kernel of another repository" in refused(folder)
    config(folder, text_config={key: "sdpa"})
    assert PretrainedFiles.of(folder)


def open_clip(folder, **text):
    """Makes the folder one of open_clip; its weights are never read."""
    (folder / "config.json").unlink()
    settings = {"model_cfg": {"embed_dim": 8, "text_cfg": TEXT | text, "vision_cfg": {}}}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    return folder


def test_settings_of_open_clip(folder):
    files = PretrainedFiles.of(open_clip(folder, tokenizer_kwargs={"clean": "canonicalize"}))
    assert files.library == "open_clip"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            {"tokenizer_kwargs": {"trust_remote_code": True}},
            "the tokeniser option 'trust_remote_code'",
        ),
        ({"tokenizer_kwargs": {"bpe_path": "/etc/passwd"}}, "the tokeniser option 'bpe_path'"),
        ({"hf_model_name": "/etc"}, "names '/etc', which is not a repository"),
        ({"hf_model_name": "../../x"}, "which is not a repository"),
    ],
)
def test_settings_of_open_clip_that_are_refused(folder, text, expected):
    assert expected in refused(open_clip(folder, **text))


def test_a_tokeniser_with_a_class_of_its_own(folder):
    path = open_clip(folder) / "tokenizer_config.json"
    content = json.loads(path.read_text())
    content["auto_map"] = {"AutoTokenizer": ["user/other--code.Tokenizer", None]}
    path.write_text(json.dumps(content))
    assert "names custom classes (auto_map)" in refused(folder)


def test_the_configuration_of_another_repository_is_not_fetched_unasked(folder):
    with pytest.raises(
        CMRError, match=r"names 'user/none'.*not downloaded automatically.*--allow-download"
    ):
        load(open_clip(folder, hf_model_name="user/none"))
