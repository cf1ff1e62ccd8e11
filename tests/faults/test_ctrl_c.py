"""After Ctrl-C, every command exits with code 130, prints one line, and leaves consistent files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from cmr_process import STOPPED, Cmr, Cut

from cmr_hub import cli
from scripts.default import __main__ as scripts

pytestmark = pytest.mark.faults

SQUARES = ["--views", "1", "--epochs", "1"]

PLACES: dict[str, tuple[str, list[str]]] = {
    "data show": (
        "cmr_hub.datasets.folder:read_folder",
        ["data", "folder", "--root", "{pictures}"],
    ),
    "data get": ("cmr_hub.datasets.fetch:fetch_dataset", ["data", "get", "coco", "--to", "x"]),
    "train": (
        "cmr_hub.datasets.folder:read_folder",
        ["train", "folder", "--root", "{pictures}", "--image-weights", "{weights}", "--out", "x"],
    ),
    "evaluate": (
        "cmr_hub.experiments.measuring:measure_split",
        ["evaluate", "{model}", "--root", "{pictures}"],
    ),
    "ablate": ("cmr_hub.experiments.grid:read_grid", ["ablate", "g.toml", "--results", "r"]),
    "report": ("cmr_hub.experiments.report:write_report", ["report", "--results", "r"]),
    "models": ("cmr_hub.models.catalogue:list_models", ["models"]),
    "index": (
        "cmr_hub.gallery.indexing.index:folder_entries",
        ["index", "{pictures}", "--out", "x", "--model", "{model}"],
    ),
    "label": ("cmr_hub.loading:open_gallery", ["label", "{model}/gallery", "--names", "{names}"]),
    "search": ("cmr_hub.loading:open_gallery", ["search", "{model}", "flame"]),
    "demo": ("cmr_hub.apps.search_page.serving:load", ["demo", "{model}"]),
    "dashboard": ("streamlit.web.cli:main", ["dashboard", "--results", "r"]),
    "publish": ("cmr_hub.hub.publish:publication", ["publish", "{model}", "--repo", "a/b"]),
    "gallery info": ("cmr_hub.loading:open_store", ["gallery", "info", "{model}/gallery"]),
    "gallery verify": ("cmr_hub.loading:open_store", ["gallery", "verify", "{model}/gallery"]),
    "gallery compact": ("cmr_hub.loading:open_store", ["gallery", "compact", "{model}/gallery"]),
    "gallery remove": ("cmr_hub.loading:open_store", ["gallery", "remove", "{model}/gallery", "x"]),
    "gallery duplicates": (
        "cmr_hub.loading:open_store",
        ["gallery", "duplicates", "{model}/gallery"],
    ),
    "gallery export": (
        "cmr_hub.loading:open_store",
        ["gallery", "export", "{model}/gallery", "--out", "x.csv"],
    ),
    "gallery import": (
        "cmr_hub.loading:load",
        ["gallery", "import", "x.npz", "--out", "x", "--model", "{model}"],
    ),
    "doctor": ("cmr_hub.encoders.devices:Placement.of", ["doctor"]),
    "space static": (
        "cmr_hub.loading:open_gallery",
        ["space", "static", "{model}/gallery", "--out", "x"],
    ),
    "space onnx": ("cmr_hub.loading:load", ["space", "onnx", "{model}", "--out", "x"]),
    "space build": ("cmr_hub.hub.space:build_space", ["space", "build", "x"]),
    "space dashboard": (
        "cmr_hub.hub.dashboard_space:build_dashboard_space",
        ["space", "dashboard", "x"],
    ),
}
"""The function at which each command is interrupted, and the arguments."""

SCRIPTS: dict[str, tuple[str, list[str]]] = {
    "distill": (
        "scripts.default.distillation:training_pictures",
        ["distill", "folder", "--teacher", "{weights}", "--out", "x", *SQUARES],
    ),
    "align": (
        "scripts.default.views:draw_pixels",
        ["align", "folder", "--out", "x", *SQUARES],
    ),
    "release": (
        "scripts.default.build:build_release",
        [
            *("release", "sketch", "folder", "--aligned", "{aligned}"),
            *("--out", "x", "--figures", "f.json"),
        ],
    ),
    "quality-curve": (
        "scripts.default.curves:keep_record",
        [
            *("quality-curve", "--distilled", "{aligned}", "--aligned", "{aligned}"),
            *("--undistilled", "{aligned}", "--results", "r"),
        ],
    ),
}
"""The same for `python -m scripts.default`."""


def commands(app: typer.Typer) -> set[str]:
    """Return all commands."""
    own = {
        info.name or info.callback.__name__.replace("_", "-") for info in app.registered_commands
    }
    groups = {
        f"{group.name} {info.name or info.callback.__name__.replace('_', '-')}"
        for group in app.registered_groups
        for info in group.typer_instance.registered_commands
    }
    return own | groups


def test_no_command_is_left_out() -> None:
    assert commands(cli.app) == PLACES.keys()
    assert commands(scripts.app) == SCRIPTS.keys()


@pytest.mark.parametrize("name", [*PLACES, *SCRIPTS])
def test_stopped(
    cmr: Cmr,
    colour_folder: Path,
    mobilenet_file: Path,
    saved_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "folder").symlink_to(colour_folder)
    at, given = (PLACES | SCRIPTS)[name]
    module = scripts.__name__ if name in SCRIPTS else cli.__name__
    known = {
        "pictures": colour_folder,
        "weights": mobilenet_file,
        "model": saved_model,
        "aligned": tmp_path / "aligned",
        "names": tmp_path / "names.txt",
    }
    known["names"].write_text("flame\ngrass\n")
    if "{aligned}" in given:
        _aligned(tmp_path / "aligned")
    arguments = [re.sub(r"\{(\w+)\}", lambda found: str(known[found[1]]), one) for one in given]
    before = {path.name for path in tmp_path.iterdir()}
    environment = {"CMR_DATA_HOME": str(tmp_path / "data"), "CMR_CACHE_HOME": str(tmp_path / "c")}
    ended = cmr(*arguments, cut=Cut(at, "stop"), commands=module, **environment)
    assert ended.code == 130, ended.err
    assert ended.err.splitlines()[-1] + "\n" == STOPPED
    assert "Traceback" not in ended.err + ended.out
    left = {path.name for path in tmp_path.iterdir()} - before - {"c"}
    # The settings of a training run are written at its start.
    assert left == ({"x"} if name == "align" else set())
    if name == "align":
        assert [path.name for path in (tmp_path / "x").iterdir()] == ["alignment.json"]


def _aligned(folder: Path) -> None:
    """Create the input of `release` with random weights."""
    from cmr_hub.encoders.images.compact import CompactEncoder
    from cmr_hub.encoders.texts import text_encoder
    from cmr_hub.encoders.texts.storage import save_text_encoder
    from scripts.default.outcome import write_outcome

    folder.mkdir()
    encoder = CompactEncoder(CompactEncoder.build().state_dict(), "file")
    write_outcome(encoder, [{"epoch": 1}], folder)
    save_text_encoder(text_encoder("bow").fit([("a dog", "the dog")]), folder)
