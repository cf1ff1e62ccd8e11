"""Define the command `cmr doctor`."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Column, Table

from cmr_hub.cache_home import default_cache_home
from cmr_hub.cli.options import console
from cmr_hub.cli.terminal import json_text
from cmr_hub.cores import threads
from cmr_hub.version import __version__

_ADDS: Final = {
    "clip": "pretrained dual encoders: CLIP, SigLIP, sentence-transformers",
    "cluster": "galleries in a Milvus database, indexing on a Ray cluster",
    "dashboard": "the dashboard: tables, training curves, maps",
    "demo": "the search page",
    "mcp": "the search page as a tool of assistants (MCP)",
    "ocr": "searching the text in pictures",
    "openvino": "encoders that run in OpenVINO",
    "photos": "camera raw files",
    "study": "word vectors and topic models; figures of reports and model cards",
    "video": "indexing videos",
}
_LIBRARIES: Final = (
    "torch",
    "onnxruntime",
    "numpy",
    "pyarrow",
    "faiss-cpu",
    "transformers",
    "gradio",
)
_EXTRA: Final = re.compile(r"extra == ['\"]([\w-]+)['\"]")
_GIB: Final = 2**30


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the installed packages, the purpose of each extra, and facts about this machine."""
    found = diagnosis()
    if as_json:
        typer.echo(json_text(found))
        return
    facts = Table(show_header=False, box=None)
    for name, value in found.items():
        if name != "extras":
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            facts.add_row(name.replace("_", " "), str(shown) if shown != "" else "none")
    console.print(facts, highlight=False)
    extras = Table("extra", Column("adds", overflow="fold"), Column("installed", overflow="fold"))
    for name, extra in found["extras"].items():
        missing = ", ".join(extra["missing"])
        answer = f"no: pip install 'cmr-hub[{name}]'  (missing: {missing})" if missing else "yes"
        extras.add_row(name, extra["adds"], answer)
    console.print(extras, highlight=False)


def diagnosis() -> dict[str, Any]:
    """Return the facts that `cmr doctor` shows, with sizes in GiB."""
    from cmr_hub.encoders.devices import Placement
    from cmr_hub.releases import RELEASES

    cache = default_cache_home()
    data = os.environ.get("CMR_DATA_HOME", "")
    return {
        "version": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "device": Placement.of("auto").device,
        "threads": threads(),
        "disk_free_gib": round(shutil.disk_usage(_existing(cache)).free / _GIB, 1),
        "cache": str(cache),
        "cache_gib": round(_size(cache) / _GIB, 2),
        "included_models": sorted(RELEASES),
        "cached_models": _cached_models(),
        "data_home": data,
        "libraries": [f"{name} {_version(name) or 'is missing'}" for name in _LIBRARIES],
        "extras": _extras(),
    }


def _extras() -> dict[str, dict[str, Any]]:
    """Return the purpose and the missing packages of each extra."""
    needed: dict[str, list[str]] = {name: [] for name in _ADDS}
    for requirement in requires("cmr-hub") or ():
        package = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        extra = _EXTRA.search(requirement)
        if extra and extra[1] in needed:
            needed[extra[1]].append(package)
    return {
        name: {"adds": _ADDS[name], "missing": [one for one in packages if not _version(one)]}
        for name, packages in sorted(needed.items())
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _size(folder: Path) -> int:
    return sum(
        os.lstat(Path(root, name)).st_size for root, _, names in os.walk(folder) for name in names
    )


def _cached_models() -> list[str]:
    """Return the repositories in the cache of the Hugging Face Hub."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        return sorted(repo.repo_id for repo in scan_cache_dir().repos if repo.repo_type == "model")
    except CacheNotFound:
        return []
