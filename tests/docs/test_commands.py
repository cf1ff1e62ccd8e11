"""Run the commands of each page in order, in a fresh copy of the clone."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import typer
from documents import HOME, PAGES, Block, blocks, every_command, prose, text_of
from films import film
from hub_server import TOKEN, HubServer
from safetensors.torch import save_file
from typer.testing import CliRunner

from cmr_hub.cli import app
from scripts.default.__main__ import app as scripts

NOT_RUN = {
    "make test": "runs these tests",
    "make test-all": "runs these tests",
    "make lint": "CI runs it before the tests",
    "make bench": "half an hour; tests/benchmarks tests how the table is written",
    "make bench FULL=1": "hours; see `make bench`",
    "make bench FRESH=1": "half an hour; see `make bench`",
    "make bench-quick": "three minutes; see `make bench`",
    ".venv/bin/python -m benchmarks search-100000": "would overwrite a result",
    ".venv/bin/python -m pytest tests/docs": "runs these tests",
    "docker compose up": "needs Docker; tests/test_containers.py checks the files",
    "hf auth login": "asks for a token of the Hub",
    "cmr space static photos --out site --allow-download": (
        "downloads from npm; tests/static_site builds a site for sketch"
    ),
    "cmr index ~/Pictures --out gallery --watch": "runs until Ctrl-C; tests/cli runs it",
    "python -m http.server --directory site": "runs until Ctrl-C; tests/static_site serves a site",
    "cmr space onnx photos --out photos-onnx": "takes a minute; tests/static_site exports sketch",
    "cmr index /shared/pictures --cluster ray --engine milvus --uri http://host:19530 "
    "--collection pets": "needs servers; tests/gallery/indexing/test_cluster.py runs it with them",
    'cmr search http://host:19530/pets "two dogs on a beach"': "needs a server; "
    "tests/gallery/test_milvus.py runs it with one",
    "cmr models --measure siglip siglip2 --threads 4": "downloads them; tests/cli/test_models.py "
    "measures a local model",
    "cmr evaluate timm/vit_base_patch16_clip_224.laion400m_e32 --dataset flickr8k --root flickr8k "
    "--split test": "downloads it and needs Flickr8k",
    "cmr train pascal-sentence --image-encoder hf:google/siglip2-base-patch16-224 "
    "--text-encoder hf:google/siglip2-base-patch16-224 --preset adapter --out runs/adapter": (
        "downloads it; tests/cli/test_train.py trains on a tiny encoder"
    ),
    "cmr train flickr8k --out runs/flickr8k": (
        "needs Flickr8k; tests/cli/test_train_captions.py trains on a few pictures"
    ),
    "cmr train flickr8k pascal-sentence sketches:6000/1000 --out runs/captions": "needs Flickr8k",
    "cmr data get wikipedia --to wikipedia": (
        "downloads it; tests/datasets/test_fetch.py downloads from a local server"
    ),
    "pip install ./sketches": "downloads packages; it is already installed for the tests",
    # These train for hours; tests/scripts runs them on a few pictures.
    "python -m scripts.default distill flickr8k pascal-sentence "
    "--teacher mobilenet_v2.safetensors --out distill": "hours",
    "python -m scripts.default align flickr8k pascal-sentence sketches:12000/1000 "
    "--encoder distill/encoder.safetensors --out aligned": "hours",
    "python -m scripts.default align flickr8k pascal-sentence sketches:12000/1000 "
    "--out undistilled": "hours",
    "python -m scripts.default release sketch flickr8k pascal-sentence sketches:12000/1000 "
    "--aligned aligned --out cmr_hub/releases/sketch --figures results/default.json": (
        "reads what they wrote"
    ),
    "python -m scripts.default release sketch flickr8k pascal-sentence sketches:12000/1000 "
    "--aligned undistilled --out runs/undistilled "
    "--figures results/default-undistilled.json": "reads what they wrote",
    "python -m scripts.default release photos flickr8k pascal-sentence sketches:4000/1000 "
    "--out photos": "an hour",
    "python -m scripts.default quality-curve --distilled distill --aligned aligned "
    "--undistilled undistilled": "needs the results of hours of training",
}
"""Commands that no test of this file runs, and the reasons."""

LANGUAGES = {"sh", "python", "diff", "json", "mermaid", "toml"}


def without(command: str) -> bool:
    return command in NOT_RUN


def follow(reader, page: str) -> list[str]:
    """Run all blocks of a page and return their outputs."""
    return [reader.follow(block, without) for block in blocks(page)]


# ---- files that the pages assume


@pytest.fixture
def pictures(reader, sketches) -> Path:
    """Create `~/Pictures` with some files and folders, without metadata."""
    folder = reader.home / "Pictures"
    for name, of in {"dog": "dog", "cat": "cat", "bus": "bus", "beach": "boat"}.items():
        sketches[of][0].save(folder / f"{name}.jpg")
    for number, of in enumerate(sketches):
        sketches[of][1].save(folder / "2024 holiday" / f"IMG_{number:04}.jpg")
    (folder / "notes.txt").write_text("nothing")
    (folder / "trip").mkdir()
    film(folder / "trip" / "movie.mp4")
    return folder


@pytest.fixture
def pets(reader, sketches) -> Path:
    """Create `~/Pictures/pets`: four classes, each with 8 pictures for training and 4 to test."""
    folder = reader.home / "Pictures" / "pets"
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for name in ("dog", "cat", "bird", "horse"):
        for number, sketch in enumerate(sketches[name][:12]):
            split = "train" if number < 8 else "test"
            path = sketch.save(folder / split / f"{name}{number}.jpg")
            line = {"file_name": path.name, "captions": sketch.sentences, "label": name}
            lines[split].append(json.dumps(line))
    for split, rows in lines.items():
        (folder / split / "metadata.jsonl").write_text("\n".join(rows))
    return folder


@pytest.fixture
def datasets(reader, sketches) -> Path:
    """Create small copies of Pascal Sentence and postcards from sketches in `$CMR_DATA_HOME`."""
    home = reader.home / "data"
    table = []
    for name in ("bus", "cat", "dog", "motorbike", "person", "sheep"):
        for number, sketch in enumerate(sketches[name][:12]):
            item = f"{name}_{number:06}"
            sketch.save(home / "pascal-sentence" / "dataset" / name / f"{item}.jpg")
            text = home / "pascal-sentence" / "sentence" / name / f"{item}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text("\n".join(sketch.sentences))
            path = sketch.save(home / "postcards" / "pictures" / f"{item}.jpg")
            sentences = [{"raw": sentence, "tokens": []} for sentence in sketch.sentences]
            split = ("train", "train", "train", "val", "test")[number % 5]
            table.append({"filename": path.name, "split": split, "sentences": sentences})
    (home / "postcards" / "postcards.json").write_text(json.dumps({"images": table}))
    reader.environment["CMR_DATA_HOME"] = str(home)
    return home


@pytest.fixture
def weights(reader, mobilenet_file) -> Path:
    """Create a file of random MobileNetV2 weights in the clone."""
    return Path(shutil.copy(mobilenet_file, reader.clone / "mobilenet_v2.safetensors"))


# ---- the pages


def test_readme(reader, pictures) -> None:
    """The environment already exists."""
    follow(reader, "README.md")
    (sheet,) = reader.opened()
    page = Path(sheet.removeprefix("file://")).read_text()
    assert page.count("<img") == 10
    assert "IMG_" in page


def test_quick_start(reader, pictures) -> None:
    outputs = follow(reader, "docs/quick-start.md")
    assert "boat" in outputs[1]
    (sheet,) = reader.opened()
    assert Path(sheet.removeprefix("file://")).read_text().count("<img") == 10


def test_your_own_pictures(reader, pictures) -> None:
    reader.activate()
    outputs = follow(reader, "docs/your-own-pictures.md")
    sheet, picture = reader.opened()
    assert picture.endswith(".jpg")
    # `year >= 2020` passes one picture.
    assert Path(sheet.removeprefix("file://")).read_text().count("<img") == 1
    assert (reader.clone / "hits.html").is_file()
    assert any("1 removed" in output for output in outputs)
    assert any("is intact" in output for output in outputs)


def test_search_page(reader, pictures) -> None:
    reader.activate()
    shutil.copy(pictures / "bus.jpg", reader.clone / "bus.jpg")
    (asked,) = [found for found in follow(reader, "docs/search-page.md") if found]
    first, second = split_json(asked)
    assert len(first["pictures"]) == len(second["sentences"]) == 5


def split_json(text: str) -> Iterable[dict[str, object]]:
    """Yield the JSON objects of a text."""
    decoder = json.JSONDecoder()
    while text := text.strip():
        found, end = decoder.raw_decode(text)
        yield found
        text = text[end:]


def test_train_your_own(reader, pets, weights) -> None:
    reader.activate()
    follow(reader, "docs/train-your-own.md")
    assert (reader.clone / "my-results" / "report.md").is_file()
    assert (reader.clone / "sketches.png").is_file()
    assert (reader.clone / "runs/sketches/snapshots.safetensors").is_file()


def test_hub(reader) -> None:
    from cmr_hub import load

    server = HubServer()
    try:
        reader.activate()
        for name in [name for name in reader.environment if name.startswith("HF_")]:
            del reader.environment[name]
        reader.environment |= {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(reader.home / "hf"),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        }
        load("sketch").save_pretrained(reader.clone / "runs" / "pascal")
        follow(reader, "docs/hub.md")
        files = server.repositories["model", "user/cmr-pascal"].files()
    finally:
        server.shutdown()
    assert {"README.md", "config.json", "gallery/manifest.json"} <= files.keys()
    assert (reader.clone / "space" / "app.py").is_file()
    assert (reader.clone / "board" / "Dockerfile").is_file()


def test_models(reader) -> None:
    reader.activate()
    outputs = follow(reader, "docs/models.md")
    assert "google/siglip2-base-patch16-224" in outputs[0]
    assert "Median of 5 rounds" in outputs[1]


def test_api(reader, pets) -> None:
    """The page imports twelve names and has an example of each call."""
    reader.activate()
    outputs = follow(reader, "docs/api.md")
    (names,) = (block for block in blocks("docs/api.md")[:1])
    assert len(re.findall(r"^    \w+,$", names.text, re.MULTILINE)) == 12
    assert "CrossModalModel(dim=1664, image='efficientnet_lite2'" in outputs[1]
    assert "Gallery(48 items" in outputs[2]
    assert "(49, 1664) 48" in outputs[3]
    assert "cannot read the given picture" in outputs[-1]
    assert len(outputs[-1]) < 200


def test_add_a_loss(reader, pets) -> None:
    reader.activate()
    outputs = follow(reader, "docs/add-a-loss.md")
    assert "equal\n" in outputs
    assert any("1 SigmoidLoss" in output for output in outputs)
    assert (reader.clone / "runs/sigmoid/config.json").is_file()


def test_add_an_encoder(reader, pets) -> None:
    import torch

    from cmr_hub.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    from torchvision.models import resnet18

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(resnet18().state_dict(), reader.clone / "resnet18.safetensors")
    reader.activate()
    outputs = follow(reader, "docs/add-an-encoder.md")
    told = "CrossModalModel(dim=200, image='resnet18', text='hashing', classes=4)"
    assert sum(told in output for output in outputs) == 2
    assert (reader.clone / "runs/resnet18/config.json").is_file()


def test_add_a_dataset(reader, datasets) -> None:
    reader.activate()
    outputs = follow(reader, "docs/add-a-dataset.md")
    assert any("PairDataset('postcards', protocol='table'" in output for output in outputs)
    assert any("postcards, protocol table: 72 items" in output for output in outputs)
    assert (reader.clone / "runs/postcards/config.json").is_file()


def test_the_study(reader, data_home, mobilenet_weights, monkeypatch) -> None:
    reader.activate()
    reader.environment["CMR_DATA_HOME"] = str(data_home)
    (reader.clone / "mobilenet_v2.safetensors").symlink_to(mobilenet_weights)
    shutil.copytree(HOME / "results" / "curves", reader.clone / "results" / "curves")
    monkeypatch.chdir(reader.clone)
    grids = [
        command
        for page, command in every_command()
        if page == "docs/study.md" and command.startswith("cmr ablate ")
    ]
    # A missing run would train for minutes, so look for one before any command is run.
    for command in grids:
        plan = CliRunner().invoke(app, [*shlex.split(command)[1:], "--dry-run"]).output
        assert re.search(r"^0 to run, \d\d+ already stored", plan, re.MULTILINE), (
            f"store the runs of `{command}` first:\n{plan}"
        )
    output = "".join(follow(reader, "docs/study.md"))
    stored = re.findall(r"^0 run, \d\d+ already stored, 0 failed", output, re.MULTILINE)
    assert len(stored) == len(grids)
    written = (reader.clone / "results" / "report.md").read_text()
    assert written == text_of("results/report.md")


def test_contributing(reader) -> None:
    outputs = follow(reader, "CONTRIBUTING.md")
    assert any(re.search(r"\d+ passed", output) for output in outputs)


def test_make_installs_nothing_into_the_environment_of_the_tests(reader) -> None:
    assert not (reader.clone / ".venv" / ".locked").is_symlink()
    ran = subprocess.run(
        ["make", "--dry-run", ".venv/.installed-dev"],
        cwd=reader.clone, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "pip" not in ran.stdout


# ---- every command is covered


def test_every_page_is_followed() -> None:
    followed = set(re.findall(r'follow\(reader, "(.+?)"\)', Path(__file__).read_text()))
    with_commands = {page for page, command in every_command() if command not in NOT_RUN}
    assert with_commands <= followed


def test_what_is_not_run_is_there() -> None:
    assert NOT_RUN.keys() <= {command for _, command in every_command()}


@pytest.mark.parametrize("page", PAGES)
def test_languages(page) -> None:
    assert {block.language for block in blocks(page)} <= LANGUAGES
    assert text_of(page).count("```") == 2 * len(blocks(page))


def test_json_is_read_as_it_is_shown() -> None:
    for block in all_blocks("json"):
        for line in block.text.splitlines():
            json.loads(line)


def all_blocks(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def parser(words: list[str], commands: typer.Typer = app) -> tuple[object, list[str]]:
    """Return the command that the words begin with, and the remaining words."""
    found = typer.main.get_command(commands)
    while words and hasattr(found, "commands") and words[0] in found.commands:
        found, words = found.commands[words[0]], words[1:]
    if "show" in getattr(found, "commands", ()) and words:  # `cmr data NAME`
        found = found.commands["show"]
    assert not hasattr(found, "commands") or not words or words[0].startswith("-"), words
    return found, words


@pytest.mark.parametrize("command", sorted({c for _, c in every_command() if c[:4] == "cmr "}))
def test_commands_are_understood(command) -> None:
    """All arguments exist, including those of commands that are not run."""
    found, words = parser(shlex.split(re.split(r"<<| \| ", command)[0])[1:])
    if "--help" not in words:
        found.make_context("cmr", words)


SCRIPTS = "python -m scripts.default "


@pytest.mark.parametrize(
    "command", sorted({c for _, c in every_command() if c.startswith(SCRIPTS)})
)
def test_scripts_are_understood(command) -> None:
    found, words = parser(shlex.split(command.removeprefix(SCRIPTS)), scripts)
    found.make_context("scripts.default", words)


@pytest.mark.parametrize("command", sorted(c for c in NOT_RUN if c.startswith("make ")))
def test_make_knows_what_it_would_do(command) -> None:
    ran = subprocess.run(
        [*command.split(), "--dry-run"], cwd=HOME, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("page", PAGES)
def test_what_the_prose_names_is_there(page) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (HOME / "Makefile").read_text(), re.MULTILINE))
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        if code.startswith("make ") and "=" not in code:
            assert code.split()[1] in targets, code
        elif code.startswith("python ") and code.split()[1].endswith(".py"):
            assert (HOME / code.split()[1]).is_file(), code
        elif code.startswith("cmr "):
            found, words = parser(shlex.split(code)[1:])
            known = {option for parameter in found.params for option in parameter.opts}
            options = [word for word in words if word.startswith("--") and word != "--help"]
            assert set(options) <= known, code
