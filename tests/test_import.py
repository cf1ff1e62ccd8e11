"""Importing the package is free; what is heavy waits until it is used."""

import ast
import json
import subprocess
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

import pytest

import cmr_hub
from cmr_hub import losses

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
    own = {name for name in loaded if name.startswith("cmr_hub")}
    assert own == {"cmr_hub", "cmr_hub.lazy_names", "cmr_hub.version"}


def test_registries_and_command_line_load_nothing_heavy():
    modules = ("datasets", "encoders.images", "encoders.texts", "losses", "baselines", "cli")
    modules += ("models.catalogue", "metrics", "encoders")
    assert not loaded_by(*(f"cmr_hub.{name}" for name in modules)) & HEAVY


NATURAL = {
    "CrossModalModel": "cmr_hub.models.cross_modal:CrossModalModel",
    "Gallery": "cmr_hub.gallery.gallery:Gallery",
    "Hit": "cmr_hub.hit:Hit",
    "Item": "cmr_hub.gallery.items:Item",
    "Mix": "cmr_hub.gallery.query:Mix",
    "PRESETS": "cmr_hub.training.presets:PRESETS",
    "Preset": "cmr_hub.training.presets:Preset",
    "Projector": "cmr_hub.models.projector:Projector",
    "__version__": "cmr_hub.version:__version__",
    "evaluate": "cmr_hub.model_evaluation:evaluate",
    "list_models": "cmr_hub.models.catalogue:list_models",
    "load": "cmr_hub.loading:load",
    "train": "cmr_hub.model_training:train",
}
NAMESPACES = ("datasets", "encoders", "losses", "metrics")


@pytest.mark.parametrize("name", sorted(NATURAL))
def test_public_names(name):
    module, _, attribute = NATURAL[name].partition(":")
    assert getattr(cmr_hub, name) is getattr(import_module(module), attribute)


def test_all_public_names_are_listed():
    assert set(cmr_hub.__all__) == {*NATURAL, *NAMESPACES}
    assert dir(cmr_hub) == sorted(cmr_hub.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = cmr_hub.lod


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_namespaces(namespace):
    """Every name is there, is the one that a type checker sees, and is listed for an editor."""
    module = getattr(cmr_hub, namespace)
    assert module is import_module(f"cmr_hub.{namespace}")
    assert dir(module) == sorted(module.__all__)
    seen = {}  # what the source imports for type checkers
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(module.__name__):
            seen |= {alias.name: node.module for alias in node.names}
    for name in module.__all__:
        value = getattr(module, name)
        if name in seen:
            assert value is getattr(import_module(seen[name]), name)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = module.Nothing


def test_every_loss_has_its_class_in_the_namespace():
    for name in losses.LOSSES:
        kind = losses.loss_class(name)
        assert getattr(losses, kind.__name__) is kind
        assert losses.loss_name(kind) == name


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
