"""Serving the page: nothing is asked from any other machine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from cmr_hub.apps.search_page.components import asset
from cmr_hub.apps.search_page.page import Page, build_page
from cmr_hub.apps.search_page.uploads import MAX_UPLOAD
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.loading import load, open_gallery
from cmr_hub.releases import is_release, release_directory

if TYPE_CHECKING:
    from cmr_hub.models.cross_modal import CrossModalModel

# The system's own fonts: other Gradio themes ask Google for theirs.
THEME: Final = gr.themes.Default(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
_SESSIONS: Final = 1_000
_SWITCH_SECONDS: Final = 0.0005
_LANGUAGE: Final = "<script>document.documentElement.lang = 'en'</script>"


def serve(page: Page, *, host: str, port: int | None, block: bool = True, mcp: bool = False) -> str:
    """Serves a page.

    Args:
        page: what `build_page` made.
        host, port: where to listen; without a port, the first free one from 7860.
        block: wait until Ctrl+C.
        mcp: be an MCP server too; needs the extra `mcp`.

    Returns:
        The page's address.

    Raises:
        CMRError: the address cannot be listened on, or what MCP needs is not installed.
    """
    if mcp and find_spec("mcp") is None:
        raise CMRError("an MCP server needs one more package: pip install 'cmr-hub[mcp]'")
    # A network gives the interpreter away at each of its many small steps, and at the usual 5 ms
    # waits for it longer than it works while the server is busy.
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        _, url, _ = page.blocks.launch(
            server_name=host,
            server_port=port,
            theme=THEME,
            css=asset("page.css"),
            head=_LANGUAGE,
            footer_links=[],
            max_file_size=MAX_UPLOAD,
            # Gradio serves no file but its uploads; the routes have the rest.
            allowed_paths=[],
            app_kwargs={"routes": list(page.routes)},
            # A program that names no session is a new one with each request.
            state_session_capacity=_SESSIONS,
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            share=False,
            quiet=True,
            mcp_server=mcp,
            prevent_thread_lock=True,
        )
    except OSError as error:
        where = host if port is None else f"{host}, port {port}"
        raise CMRError(f"cannot listen on {where}; choose another --host or --port") from error
    if block:
        print(f"The page is at {url} (stop it with Ctrl+C)")
        page.blocks.block_thread()
    return str(url)


def launch(
    name: str | Path | None,
    *,
    gallery: str | Path | None = None,
    compare: Sequence[str | Path] = (),
    host: str,
    port: int | None,
    revision: str | None = None,
    mcp: bool = False,
    device: str = "auto",
    allow_download: bool = False,
    backend: str = "auto",
    int8: bool = False,
) -> None:
    """Serves the search page until it is stopped.

    Args:
        name: a model, as `load` takes it; default the one that the gallery was made with, or the
            one that comes with the package.
        gallery: a gallery's directory or address; default the one saved with the model.
        compare: other models, as `load` takes them, to be asked the same beside it.
        host, port: where to listen.
        revision: of a model on the Hub.
        mcp: be an MCP server too.
        device, allow_download, backend, int8: see `load`; of all models.

    Raises:
        CMRError: no model there, one that cannot be searched, or an address that is taken.
    """
    where: dict[str, Any] = {
        "device": device,
        "allow_download": allow_download,
        "backend": backend,
        "int8": int8,
    }
    model = _model(name, gallery, revision, where)
    own = name or model.source or "the model"
    page = build_page(
        model,
        name=_shown(own),
        compare={_shown(other): load(other, **where) for other in compare},
        card=_directory(str(own)),
        gallery=None if gallery is None else _shown(gallery),
    )
    serve(page, host=host, port=port, mcp=mcp)


def _shown(name: str | Path) -> str:
    """What visitors see of a model's name: no folders of this machine."""
    return Path(name).name if Path(name).is_absolute() else str(name)


def _model(
    name: str | Path | None,
    gallery: str | Path | None,
    revision: str | None,
    where: dict[str, Any],
) -> CrossModalModel:
    if gallery is None:
        return load(name, revision=revision, **where)
    opened = open_gallery(gallery, name, **where)
    if opened.model is None:
        raise QueryError(f"{gallery} was opened without its model")
    opened.model.gallery = opened
    return opened.model


def _directory(name: str) -> Path | None:
    """Where the model card may be."""
    if Path(name).is_dir():
        return Path(name)
    return release_directory(name) if is_release(name) else None
