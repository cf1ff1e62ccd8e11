"""Serve the page without requests to other machines."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final

import gradio as gr
from fastapi import FastAPI
from gradio.http_server import INITIAL_PORT_VALUE, TRY_NUM_PORTS

from cmr_hub.apps.hosts import LOCAL, SPACE_HOST, Hosts, is_every_address
from cmr_hub.apps.search_page.components import asset
from cmr_hub.apps.search_page.event_streams import EventStreams
from cmr_hub.apps.search_page.limits import Limits, address_of
from cmr_hub.apps.search_page.page import Page, build_page
from cmr_hub.apps.search_page.payloads import Payloads
from cmr_hub.apps.search_page.routes import OnlyRoutes
from cmr_hub.apps.search_page.server import Server, listen
from cmr_hub.apps.search_page.upload_routes import MAX_FILE
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.loading import load, open_gallery
from cmr_hub.memory import give_large_blocks_back
from cmr_hub.releases import is_release, release_directory

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from cmr_hub.models.cross_modal import CrossModalModel

# Use system fonts, because Gradio's themes download fonts from Google.
THEME: Final = gr.themes.Default(
    primary_hue="indigo",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)
_SESSIONS: Final = 1_000
_SWITCH_SECONDS: Final = 0.0005
_STOP_SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_LANGUAGE: Final = "<script>document.documentElement.lang = 'en'</script>"


def serve(
    page: Page,
    *,
    host: str,
    port: int | None,
    block: bool = True,
    mcp: bool = False,
    allow_hosts: Sequence[str] = (),
) -> str:
    """Serve a page.

    Args:
        page: the page, as `build_page` returns it.
        host, port: address to listen on; default port: the first free one from 7860.
        block: whether to wait for Ctrl+C, SIGTERM or SIGHUP, and then remove the visitors' files.
        mcp: whether to serve MCP; requires the extra `mcp`.
        allow_hosts: additional host names of the page, for example that of a reverse proxy.

    Returns:
        The URL of the page.

    Raises:
        CMRError: the address is not available, or the extra `mcp` is not installed.
    """
    if mcp and find_spec("mcp") is None:
        raise CMRError("an MCP server needs an additional package: pip install 'cmr-hub[mcp]'")
    # A network releases the GIL at each of its many small steps. With the default interval of
    # 5 ms, it would spend more time on waiting for the GIL than on computing.
    sys.setswitchinterval(_SWITCH_SECONDS)
    give_large_blocks_back()
    try:
        listening = listen(host, port, INITIAL_PORT_VALUE, TRY_NUM_PORTS)
    except OSError as error:
        where = host if port is None else f"{host}, port {port}"
        raise CMRError(f"cannot listen on {where}; choose another --host or --port") from error
    app = app_of(page, host=host, mcp=mcp, allow_hosts=allow_hosts)
    server = Server(app, listening)
    name = "localhost" if is_every_address(host) else host.strip("[]")
    url = f"http://{f'[{name}]' if ':' in name else name}:{listening.getsockname()[1]}/"
    if page.blocks.mcp_server_obj:
        page.blocks.mcp_server_obj._local_url = url
    page.blocks.server = server
    server.start()
    if block:
        print(f"The page is at {url} (stop it with Ctrl+C)", flush=True)
        wait(page)
    return url


def app_of(page: Page, *, host: str, mcp: bool = False, allow_hosts: Sequence[str] = ()) -> ASGIApp:
    """Return the page as an ASGI app with all security middleware.

    Args:
        page: the page, as `build_page` returns it.
        host: address that the server listens on.
        mcp: whether to serve MCP.
        allow_hosts: additional host names of the page.
    """
    blocks = page.blocks
    # Each request without a session hash, such as those of programs, counts as a new session.
    blocks.state_session_capacity = _SESSIONS
    outer = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, routes=list(page.routes))
    gr.mount_gradio_app(
        outer,
        blocks,
        "/",
        theme=THEME,
        css=asset("page.css"),
        head=_LANGUAGE,
        footer_links=[],
        # Gradio must not serve files, because the page has routes for them.
        allowed_paths=[],
        max_file_size=MAX_FILE,
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        ssr_mode=False,
        mcp_server=mcp,
    )
    blocks.app = blocks.server_app = outer.routes[-1].app  # type: ignore[attr-defined]
    # Gradio checks paths only if it assumes that it has started the server.
    blocks.has_launched = True
    if mcp:
        import gradio.mcp as gradio_mcp

        # Folder for pictures in requests of MCP clients.
        gradio_mcp.DEFAULT_TEMP_DIR = str(page.files.path)
    queue = blocks._queue

    def queued(address: str) -> int:
        return sum(
            address_of(event.request.scope) == address
            for waiting in queue.event_queue_per_concurrency_id.values()
            for event in waiting.queue
        )

    events = EventStreams(outer, lambda session: bool(queue.pending_event_ids_session.get(session)))
    limited = Limits(
        lambda limits: Payloads(events, page.files, limits.note_session), page.work, queued
    )
    return Hosts(OnlyRoutes(limited, mcp=mcp), host, allow_hosts)


def wait(page: Page) -> None:
    """Wait for a stop signal, and close the page."""
    stopped = Event()
    before = {one: signal.signal(one, lambda *_: stopped.set()) for one in _STOP_SIGNALS}
    try:
        # Wait in short steps, because Python handles signals only between them.
        while not stopped.wait(0.2):
            pass
    finally:
        page.close()
        for one, handler in before.items():
            signal.signal(one, handler)


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
    allow_hosts: Sequence[str] = (),
) -> None:
    """Serve the search page until it is stopped.

    Args:
        name: name or path of a model, as `load` accepts it; default: the model that encoded the
            gallery, or the default model of the package.
        gallery: directory or address of a gallery; default: the one saved with the model.
        compare: other models for the Compare tab, as `load` accepts them.
        host, port: address to listen on.
        revision: revision of a model on the Hub.
        mcp: whether to serve MCP.
        device, allow_download, backend, int8: options of all models, see `load`.
        allow_hosts: additional host names of the page.

    Raises:
        CMRError: the model does not exist or has no gallery, or the address is not available.
    """
    load_options: dict[str, Any] = {
        "device": device,
        "allow_download": allow_download,
        "backend": backend,
        "int8": int8,
    }
    model = _model(name, gallery, revision, load_options)
    source = name or model.source or "the model"
    page = build_page(
        model,
        name=_shown(source),
        compare={_shown(other): load(other, **load_options) for other in compare},
        card=_directory(str(source)),
        gallery=None if gallery is None else _shown(gallery),
        is_private=gallery is not None
        and host.strip("[]") in LOCAL
        and not allow_hosts
        and SPACE_HOST not in os.environ,
    )
    serve(page, host=host, port=port, mcp=mcp, allow_hosts=allow_hosts)


def _shown(name: str | Path) -> str:
    """Return the name of a model for visitors, without the path on this machine."""
    return Path(name).name if Path(name).is_absolute() else str(name)


def _model(
    name: str | Path | None,
    gallery: str | Path | None,
    revision: str | None,
    load_options: dict[str, Any],
) -> CrossModalModel:
    if gallery is None:
        return load(name, revision=revision, **load_options)
    opened = open_gallery(gallery, name, **load_options)
    if opened.model is None:
        raise QueryError(f"{gallery} was opened without its model; name the model")
    opened.model.gallery = opened
    return opened.model


def _directory(name: str) -> Path | None:
    """Return the directory that may contain the model card."""
    if Path(name).is_dir():
        return Path(name)
    return release_directory(name) if is_release(name) else None
