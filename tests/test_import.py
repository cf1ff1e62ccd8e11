"""Importing the package is free; what is heavy waits until it is used."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import cmr_hub

HEAVY = {
    *("torch", "torchvision", "transformers", "sentence_transformers", "huggingface_hub"),
    *("gradio", "streamlit", "plotly", "umap", "gensim", "faiss", "sklearn", "scipy", "pandas"),
    *("pyarrow", "safetensors"),
}
# Cheap enough for a command line, but nothing that `import cmr_hub` needs.
MIDDLING = {"numpy", "PIL", "pydantic", "typer", "rich", "tqdm"}


def loaded_by(*modules: str) -> set[str]:
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout))


def test_import_loads_only_itself():
    loaded = loaded_by("cmr_hub")
    assert not loaded & (HEAVY | MIDDLING)
    assert {name for name in loaded if name.startswith("cmr_hub")} == {"cmr_hub", "cmr_hub.version"}


def test_registries_and_command_line_load_nothing_heavy():
    modules = ("datasets", "encoders.images", "encoders.texts", "losses", "baselines", "cli")
    modules += ("models.catalogue",)
    assert not loaded_by(*(f"cmr_hub.{name}" for name in modules)) & HEAVY


def test_public_names():
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.loading import load
    from cmr_hub.model_training import train
    from cmr_hub.models.catalogue import list_models
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.version import __version__

    public = {name: getattr(cmr_hub, name) for name in cmr_hub.__all__}
    assert public == {
        "CrossModalModel": CrossModalModel,
        "Gallery": Gallery,
        "list_models": list_models,
        "load": load,
        "train": train,
        "__version__": __version__,
    }
    assert dir(cmr_hub) == sorted(public)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = cmr_hub.lod


def test_console_script():
    script = Path(sysconfig.get_path("scripts")) / "cmr"
    run = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    for command in ("data", "train", "evaluate", "search", "demo"):
        assert f" {command} " in run.stdout


EVERY_MODULE = """
import builtins, importlib, pkgutil, sys

ABSENT = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
real = builtins.__import__

def as_on_windows(name, globals=None, *rest, **more):
    asks = (globals or {}).get("__name__", "")
    if name.partition(".")[0] in ABSENT and asks.partition(".")[0] == "cmr_hub":
        raise ModuleNotFoundError(f"{asks} imports {name}, which Windows does not have")
    return real(name, globals, *rest, **more)

builtins.__import__ = as_on_windows
import cmr_hub
for module in pkgutil.walk_packages(cmr_hub.__path__, "cmr_hub."):
    if not module.name.startswith("cmr_hub.apps.dashboard.views"):  # scripts of Streamlit
        importlib.import_module(module.name)
print(len(sys.modules))
"""


def test_no_module_needs_what_only_posix_has():
    run = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
