"""Build a static site that searches a gallery in the visitor's browser."""

from __future__ import annotations

import hashlib
import html
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cmr_hub.atomic import atomic_directory
from cmr_hub.errors import QueryError
from cmr_hub.hub.bundle import MADE_BY, PACKAGE, files_in, refuse_foreign
from cmr_hub.static_site.data import (
    examples,
    filters,
    ranges,
    shown_items,
    write_pictures,
    write_vectors,
)
from cmr_hub.static_site.export import export_model
from cmr_hub.static_site.runtime import GPU_FILES, copy_runtime, runtime

if TYPE_CHECKING:
    from cmr_hub.gallery.gallery import Gallery
    from cmr_hub.types import JSONObject

_ASSETS: Final = Path(__file__).with_name("assets")
_SERVED: Final = PACKAGE / "apps" / "search_page" / "assets"
"""Styles and scripts that are shared with the served page."""
_SHARED: Final = ("results", "viewer", "examples")
_README: Final = """---
title: {title}
emoji: 🔎
colorFrom: indigo
colorTo: gray
sdk: static
app_file: index.html
license: apache-2.0
custom_headers:
  cross-origin-embedder-policy: require-corp
  cross-origin-opener-policy: same-origin
---

# {heading}

Type a sentence to find pictures, or choose a picture to find similar pictures and sentences.
Everything is computed in your browser: nothing that you type or choose leaves your machine. The
page has {count} items, uses the model {model} and was {made_by} of CMR Hub.

To try it, run `python -m http.server --directory FOLDER` and open http://localhost:8000.
"""


def build_static_site(
    gallery: Gallery,
    out: str | Path,
    *,
    title: str | None = None,
    int8: bool = False,
    allow_download: bool = False,
) -> JSONObject:
    """Write a folder for any file server or for a static Space on the Hub.

    Args:
        gallery: a gallery with its model, which torch runs on the CPU.
        out: a new or empty directory, or an earlier site.
        title: title of the page.
        int8: see `export_model`.
        allow_download: whether to download onnxruntime-web from npm if it is not in the cache.

    Returns:
        The content of `site.json`.

    Raises:
        CMRError: `out` contains anything else, the gallery is empty, the model cannot run in a
            browser, or onnxruntime-web is not in the cache.
    """
    if gallery.model is None or not len(gallery) or not gallery.targets:
        raise QueryError("a site needs a gallery with items, opened with its model")
    refuse_foreign(Path(out))
    files = runtime(allow_download=allow_download)
    heading = title or "Search pictures and sentences"
    with atomic_directory(out) as fresh:
        for name in ("data", "pictures"):
            (fresh / name).mkdir()
        model = export_model(gallery.model, fresh / "model", int8=int8)
        copy_runtime(files, fresh / "runtime")
        site = _write_data(gallery, fresh, heading, model)
        _write_page(fresh, heading)
        readme = _README.format(
            title=json.dumps(heading, ensure_ascii=False),
            heading=heading,
            count=f"{len(gallery):,}",
            model=model["model"],
            made_by=MADE_BY,
        )
        (fresh / "README.md").write_text(readme, encoding="utf-8")
        _write_worker(fresh)
    return site


def _write_data(gallery: Gallery, fresh: Path, heading: str, model: JSONObject) -> JSONObject:
    rows = gallery.store.rows(gallery.items.column("id").to_pylist())
    items = rows.items.to_pylist()
    pictures = write_pictures(fresh / "pictures", [item["path"] for item in items])
    shown = shown_items(items, pictures)
    (fresh / "data" / "items.json").write_text(json.dumps(shown, ensure_ascii=False), "utf-8")
    chosen = filters(items)
    site = {
        "title": heading,
        "model": {name: model[name] for name in ("model", "fingerprint", "dim", "precision")},
        "count": len(items),
        "vectors": {
            name: write_vectors(fresh / "data", name, column, gallery.store.neutral)
            for name, column in rows.vectors.items()
        },
        "has_neutral": gallery.store.neutral is not None,
        "filters": [{**one, "rows": _codes(items, one)} for one in chosen],
        "ranges": ranges(items),
        "examples": examples(shown),
        "missing": sum(
            item["path"] is not None and not there
            for item, there in zip(items, pictures, strict=True)
        ),
        "bytes": {
            path.relative_to(fresh).as_posix(): path.stat().st_size
            for folder in ("data", "model", "runtime")
            for path in sorted((fresh / folder).iterdir())
        },
    }
    (fresh / "data" / "site.json").write_text(json.dumps(site, ensure_ascii=False), "utf-8")
    return site


def _codes(items: list[JSONObject], one: JSONObject) -> list[int]:
    """Return the index of each item's value in a filter; −1 if there is none."""
    number = {value: place for place, value in enumerate(one["values"])}
    return [number.get(item[one["column"]], -1) for item in items]


def _write_page(fresh: Path, heading: str) -> None:
    for source in sorted(_ASSETS.iterdir()):
        if source.name not in ("index.html", "sw.js"):
            shutil.copyfile(source, fresh / source.name)
    page = (_ASSETS / "index.html").read_text("utf-8").replace("{{title}}", html.escape(heading))
    (fresh / "index.html").write_text(page, "utf-8")
    shutil.copyfile(_SERVED / "page.css", fresh / "page.css")
    # The components of the served page expect these four names in scope.
    dom = (_SERVED / "dom.js").read_text("utf-8")
    parts = [
        f"export const {name} = (element, props, trigger, watch) => {{\n{dom}\n"
        f"{(_SERVED / f'{name}.js').read_text('utf-8')}\n}};\n"
        for name in _SHARED
    ]
    (fresh / "shared.js").write_text("\n".join(parts), "utf-8")


def _write_worker(fresh: Path) -> None:
    """Write the service worker with the list of files to cache; their hash is its version."""
    # These files are cached when they are first used.
    later = {"README.md", *(f"runtime/{name}" for name in GPU_FILES)}
    cached = {
        name: path
        for name, path in files_in(fresh).items()
        if not name.startswith("pictures/") and name not in later
    }
    digest = hashlib.sha256()
    for name, path in cached.items():
        digest.update(f"{name}\n".encode() + path.read_bytes())
    head = (
        f"const VERSION = {json.dumps(digest.hexdigest()[:16])};\n"
        f"const FILES = {json.dumps(['./', *cached])};\n"
    )
    body = (_ASSETS / "sw.js").read_text("utf-8")
    (fresh / "sw.js").write_text(head + body, "utf-8")
