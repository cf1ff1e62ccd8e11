"""Pretrained dual encoders from a Hub: the unpatched client over HTTP."""

import json
import re
import shutil

import hub_calls
import pytest
from hostile import words as change_words
from hub_repository import Fault
from hub_server import TOKEN
from tiny_clip import DIM, MARKER, add_what_nobody_needs, config, write_clip

from cmr_hub import load
from cmr_hub.encoders.texts.sentence import SentenceEncoder
from cmr_hub.errors import CMRError, HubError, WeightsError
from cmr_hub.models.cross_modal import CrossModalModel
from cmr_hub.models.projector import Projector
from cmr_hub.models.towers import ImageTower, TextTower

NAME = "user/clip"
NEEDED = {
    *("config.json", "model.safetensors"),
    *("processor_config.json", "tokenizer.json", "tokenizer_config.json"),
}


@pytest.fixture(scope="session")
def here(client, clip, colour_folder):
    """What the CLIP says when it is loaded from its directory."""
    return client(hub_calls.vectors, clip, sorted((colour_folder / "test").glob("*.png")))


@pytest.fixture
def repository(clip, tmp_path):
    """A folder as repositories are: the CLIP's files among others."""
    folder = shutil.copytree(clip, tmp_path / "repository")
    add_what_nobody_needs(folder)
    return folder


@pytest.fixture
def home(server, repository):
    server.commit = server.put(NAME, repository)
    return server


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def cmr(client, tmp_path, monkeypatch):
    """`cmr ARGUMENTS`, with a Hub cache of its own."""

    def run(*arguments, **options):
        return client(hub_calls.cmr, *arguments, **options)

    return run


def fetched(server) -> set[str]:
    """The files that were asked for."""
    found = (re.search(r"/resolve/[^/]+/(.+)$", request) for request in server.requests)
    return {match[1] for match in found if match}


# ---- by name


def test_only_what_is_needed_is_fetched(home, client, cache, here, colour_folder):
    pictures = sorted((colour_folder / "test").glob("*.png"))
    there = client(hub_calls.vectors, NAME, pictures, cache_dir=cache)
    assert hub_calls.same(there, here)
    assert there["texts"].shape[1] == DIM
    assert there["source"] == f"{NAME}@{home.commit}"
    assert there["gallery"] is None
    assert fetched(home) == NEEDED
    kept = {path.name for path in (cache / "models--user--clip" / "snapshots").rglob("*.*")}
    assert kept == NEEDED


def test_nothing_is_asked_of_a_pinned_commit_in_the_cache(home, client, cache):
    first = client(hub_calls.vectors, f"{NAME}@{home.commit}", cache_dir=cache)
    assert home.requests
    home.requests.clear()
    again = client(hub_calls.vectors, NAME, cache_dir=cache, revision=home.commit)
    assert hub_calls.same(first, again)
    assert home.requests == []


def test_a_revision(home, client, cache, clip, tmp_path):
    other = write_clip(tmp_path / "other", seed=1)
    commit = home.put(NAME, other, branch="next")
    main, at_next, given = (
        client(hub_calls.vectors, name, cache_dir=cache, **options)
        for name, options in (
            (NAME, {}),
            (f"{NAME}@next", {}),
            (NAME, {"revision": "next"}),
        )
    )
    assert at_next["source"] == given["source"] == f"{NAME}@{commit}"
    assert hub_calls.same(at_next, given)
    assert not hub_calls.same(main, at_next)
    message, *_ = client(hub_calls.refused, f"{NAME}@none", cache_dir=cache)
    assert "has no such revision" in message


def test_a_short_name(home, client, cache):
    with_name = (hub_calls.with_short_name, hub_calls.vectors, "tiny", NAME)
    found = client(*with_name, "tiny", cache_dir=cache)
    assert found["source"] == f"{NAME}@{home.commit}"
    assert hub_calls.same(found, client(hub_calls.vectors, NAME, cache_dir=cache))
    near = (hub_calls.with_short_name, hub_calls.refused, "tiny", NAME)
    message, *_ = client(*near, "tinyy", cache_dir=cache)
    assert "did you mean tiny?" in message


def test_without_the_network(home, client, cache, here):
    options = {"cache_dir": cache, "local_files_only": True}
    message, *_ = client(hub_calls.refused, NAME, **options)
    assert message.startswith(f"there is no model directory {NAME}; and on the Hub: {NAME} is not")
    assert "\n" not in message
    assert home.requests == []
    client(hub_calls.vectors, NAME, cache_dir=cache)
    home.requests.clear()
    again = client(hub_calls.vectors, NAME, **options)
    assert hub_calls.same(again, here | {"images": again["images"]})
    assert home.requests == []


@pytest.mark.faults
def test_a_hub_that_is_not_there(home, client, cache, monkeypatch):
    home.faults = [Fault("GET /api", status=503, times=-1)]
    message, *_ = client(hub_calls.refused, NAME, cache_dir=cache)
    assert "the Hub is busy or unavailable (503): try again later" in message
    home.faults = []
    first = client(hub_calls.vectors, NAME, cache_dir=cache)
    home.faults = [Fault("GET /api", status=503, times=-1)]
    assert hub_calls.same(first, client(hub_calls.vectors, NAME, cache_dir=cache))


def test_a_download_that_is_cut_goes_on(home, client, cache, here):
    """What is there of it is not taken for the whole, with or without the network."""
    home.faults = [Fault(r"GET .*/tokenizer\.json", status=404, times=-1)]
    pinned = f"{NAME}@{home.commit}"
    client(hub_calls.refused, pinned, cache_dir=cache)
    there = {path.name for path in cache.rglob("snapshots/*/*")}
    assert {"config.json", "model.safetensors"} <= there
    assert "tokenizer.json" not in there
    message, *_ = client(hub_calls.refused, pinned, cache_dir=cache, local_files_only=True)
    assert "is not complete in the Hub's cache" in message
    home.faults = []
    home.requests.clear()
    found = client(hub_calls.vectors, pinned, cache_dir=cache)
    assert hub_calls.same(found, here | {"images": found["images"]})
    assert "model.safetensors" not in fetched(home)


def test_a_connection_that_breaks_in_the_middle_of_a_file(home, client, cache, here):
    home.faults = [Fault("GET /cdn/", status=0, times=1)]
    found = client(hub_calls.vectors, NAME, cache_dir=cache)
    assert hub_calls.same(found, here | {"images": found["images"]})


def test_what_is_downloaded_is_said(home, cmr, repository, colour_folder, tmp_path):
    (repository / "extra.txt").write_bytes(b"x" * 12_000_000)
    home.put(NAME, repository)
    out = tmp_path / "gallery"
    _, _, said = cmr("index", colour_folder / "test", "--model", NAME, "--out", out)
    assert f"Downloading {NAME} from the Hub: 12 MB" in said
    (repository / "extra.txt").unlink()


# ---- what the model's own files name


def test_a_gallery_keeps_the_commit(home, cmr, colour_folder, tmp_path):
    out = tmp_path / "gallery"
    code, said, err = cmr("index", colour_folder / "test", "--model", NAME, "--out", out)
    assert code == 0, err
    assert "12 items" in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["model_name"] == f"{NAME}@{home.commit}"
    home.requests.clear()
    code, said, err = cmr("search", out, "a picture of flame", "--json")
    assert code == 0, err
    assert len(json.loads(said)) == 10
    assert home.requests == []  # pinned


def test_what_a_gallery_names_is_fetched_only_where_it_is_allowed(
    home, cmr, client, colour_folder, tmp_path
):
    out = tmp_path / "gallery"
    assert cmr("index", colour_folder / "test", "--model", NAME, "--out", out)[0] == 0
    forgotten(client)
    home.requests.clear()
    code, _, err = cmr("search", out, "flame")
    assert code == 2
    assert "named by a file, not by you" in err
    assert "--allow-download" in err
    assert home.requests == []
    code, _, err = cmr("search", out, "flame", "--allow-download")
    assert code == 0, err
    assert fetched(home) == NEEDED


def test_a_saved_model_names_the_commit_and_does_not_have_it_fetched(home, client, cache, tmp_path):
    first = client(hub_calls.vectors, NAME)
    client(hub_calls.saved, NAME, tmp_path / "saved")
    settings = json.loads((tmp_path / "saved" / "config.json").read_text())
    for side in ("image_tower", "text_tower"):
        assert settings[side]["encoder"]["source"] == f"hf:{NAME}@{home.commit}"
    assert not (tmp_path / "saved" / "encoders").exists()
    home.requests.clear()
    assert hub_calls.same(first, client(hub_calls.vectors, tmp_path / "saved"))
    assert home.requests == []
    forgotten(client)
    message, *_ = client(hub_calls.refused, tmp_path / "saved")
    assert "load it once by its own name" in message
    assert "allow_download=True" in message
    assert home.requests == []
    found = client(hub_calls.vectors, tmp_path / "saved", allow_download=True)
    assert hub_calls.same(first, found)


def test_a_sentence_encoder_is_not_fetched_unasked(server, client, build_sentence_model, tmp_path):
    own = build_sentence_model(tmp_path / "bert")
    server.put("user/bert", own)
    words = SentenceEncoder(source=str(own)).fit([])
    CrossModalModel(
        ImageTower(None, Projector(4, (), 6)), TextTower(words, Projector(words.dim, (), 6))
    ).save_pretrained(tmp_path / "m")
    expected = load(tmp_path / "m").encode_texts(["the dog runs"])
    change_words(lambda content: content["settings"]["options"].update(source="user/bert"))(
        tmp_path / "m"
    )
    message, *_ = client(hub_calls.refused, tmp_path / "m")
    assert "'user/bert' is needed and not on this machine. It was named by a file" in message
    assert server.requests == []
    with pytest.raises(CMRError, match="'user/bert' is needed and not on this machine"):
        client(hub_calls.read, tmp_path / "m")
    assert server.requests == []
    found = client(hub_calls.texts, tmp_path / "m", ["the dog runs"], allow_download=True)
    assert (found == expected).all()
    server.requests.clear()
    assert (client(hub_calls.texts, tmp_path / "m", ["the dog runs"]) == expected).all()
    assert server.requests == []


def test_weights_of_torchvision_are_not_fetched_unasked(
    saved_model, mobilenet_state, colour_folder, tmp_path, monkeypatch
):
    from torchvision.models import MobileNet_V2_Weights

    fetched = []

    def get(self, **_):
        fetched.append(self)
        return mobilenet_state

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", get)
    pictures = sorted((colour_folder / "test").glob("*.png"))
    directory = shutil.copytree(saved_model, tmp_path / "m")
    path = directory / "config.json"
    settings = json.loads(path.read_text())
    named = "torchvision:MobileNet_V2_Weights.IMAGENET1K_V1"
    settings["image_tower"]["encoder"]["source"] = named
    path.write_text(json.dumps(settings))
    with pytest.raises(WeightsError, match=r"It was named by a file, .*--allow-download"):
        load(directory).encode_images(pictures)
    with pytest.raises(WeightsError, match=r"It was named by a file, .*--allow-download"):
        CrossModalModel.from_pretrained(directory).encode_images(pictures)
    assert fetched == []
    found = load(directory, allow_download=True).encode_images(pictures)
    assert (found == load(saved_model).encode_images(pictures)).all()
    assert len(fetched) == 1


def forgotten(client) -> None:
    """Nothing is left in the client's cache."""
    client(hub_calls.forget)


# ---- published


@pytest.mark.parametrize("of", ["a directory", "a repository"])
def test_published_and_loaded_to_the_bit(home, client, clip, colour_folder, tmp_path, of):
    pictures = sorted((colour_folder / "test").glob("*.png"))
    name = clip if of == "a directory" else NAME
    before = client(hub_calls.vectors, name, pictures)
    client(hub_calls.push, name, "user/mine", token=TOKEN)
    files = home.repositories["model", "user/mine"].files("main")
    copied = {path for path in files if path.startswith("encoders/")}
    assert {path.rpartition("/")[2] for path in copied} == (
        NEEDED if of == "a directory" else set()
    )
    cache = tmp_path / "cache"
    after = client(hub_calls.vectors, "user/mine", pictures, cache_dir=cache)
    assert hub_calls.same(before, after)
    again = client(hub_calls.vectors, "user/mine", pictures, cache_dir=cache, local_files_only=True)
    assert hub_calls.same(before, again)
    card = files["README.md"].decode()
    client(hub_calls.validate, card)
    assert ("base_model: user/clip" in card) == (of == "a repository")


def test_published_by_the_command(home, client, cmr, clip, tmp_path):
    load(clip).save_pretrained(tmp_path / "m")
    code, _, err = cmr("publish", tmp_path / "m", "--repo", "user/mine", answer="y\n", token=TOKEN)
    assert code == 0, err
    found = client(hub_calls.vectors, "user/mine", cache_dir=tmp_path / "cache")
    assert hub_calls.same(found, client(hub_calls.vectors, clip))


@pytest.mark.parametrize(
    "source", ["hf:user/clip", "hf:user/clip@main", "hf:../../x", "/etc", "~/clip", "hf:/etc", 3]
)
def test_a_downloaded_model_may_not_read_elsewhere(home, client, clip, cache, tmp_path, source):
    load(clip).save_pretrained(tmp_path / "m")
    path = tmp_path / "m" / "config.json"
    settings = json.loads(path.read_text())
    for side in ("image_tower", "text_tower"):
        settings[side]["encoder"]["source"] = source
    path.write_text(json.dumps(settings))
    home.put("user/mine", tmp_path / "m")
    message, *_ = client(hub_calls.refused, "user/mine", cache_dir=cache, allow_download=True)
    assert "may not read other files of this machine" in message
    assert not any("user/clip" in request for request in home.requests)


# ---- refused


def test_a_repository_with_other_weights_only(home, client, cache, repository, tmp_path):
    (repository / "model.safetensors").unlink()
    home.put("user/old", repository)
    message, *_ = client(hub_calls.refused, "user/old", cache_dir=cache)
    assert "user/old has no weights as safetensors (it has " in message
    assert "pytorch_model.bin" in message
    assert "\n" not in message
    assert fetched(home) == set()


def code_of_its_own(folder):
    config(folder, auto_map={"AutoModel": "run.Model"}, model_type="mine")


def module_of_its_own(folder):
    modules = [{"idx": 0, "name": "0", "path": "", "type": "run.Model"}]
    (folder / "modules.json").write_text(json.dumps(modules))


def no_list_of_modules(folder):
    (folder / "modules.json").write_text('{"type": "sentence_transformers.models.Transformer"}')


def adapter(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "user/other"}')


def kernel(folder):
    config(folder, attn_implementation="user/kernel")


def cut_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def no_json(folder):
    (folder / "config.json").write_text("{")


def without_weights_of_a_part(folder):
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors.pop("visual_projection.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


REFUSED = {
    "code": (code_of_its_own, "custom code|cannot load"),
    "a module": (module_of_its_own, "needs 'run.Model', which is custom code"),
    "modules": (no_list_of_modules, "modules.json is not a list of modules"),
    "an adapter": (adapter, "is an adapter of another model"),
    "a kernel": (kernel, "names a kernel of another repository"),
    "cut weights": (cut_weights, "is not a valid safetensors file"),
    "no JSON": (no_json, "cannot be read as JSON|which can run code"),
    "a missing tensor": (without_weights_of_a_part, "no weights for 1 tensors"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(home, client, cache, repository, tmp_path, monkeypatch, name):
    monkeypatch.setenv(MARKER, str(tmp_path / "ran"))
    damage, expected = REFUSED[name]
    damage(repository)
    home.put("user/bad", repository)
    from_hub, *_ = client(hub_calls.refused, "user/bad", cache_dir=cache)
    from_directory, *_ = client(hub_calls.refused, repository)
    for message in (from_hub, from_directory):
        assert re.search(expected, message), message
        assert "\n" not in message
        assert len(message) < 1000
    assert not (tmp_path / "ran").exists()
    assert not {"run.py", "pytorch_model.bin"} & fetched(home)


def test_no_hub_error_of_a_directory_that_is_none(client):
    with pytest.raises(HubError):
        client(hub_calls.vectors, "user/none")
