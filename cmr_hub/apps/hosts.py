"""Which names the apps answer to, and which pages may post to them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL: Final = ("localhost", "127.0.0.1", "::1")
SPACE_HOST: Final = "SPACE_HOST"
"""The Hub sets it for a Space: the name that visitors know it by."""
_FORWARDED: Final = b"x-forwarded-host"
_JUDGED: Final = (b"origin", b"x-original-host", b"forwarded", _FORWARDED)
_SAFE: Final = ("GET", "HEAD")
# Gradio's page has scripts and styles in it, and makes functions of texts of its own. All else is
# of this address: nothing that a model card or a caption says can be fetched from elsewhere.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-src 'none'; object-src 'none'; base-uri 'self'; form-action 'none'; "
    "frame-ancestors 'self'"
)
_HUB: Final = " https://huggingface.co https://*.huggingface.co"


def declared_hosts(host: str, allowed: Iterable[str] = ()) -> frozenset[str]:
    """The names that an app answers to.

    Args:
        host: the address that it listens on.
        allowed: other names, e.g. the one that a reverse proxy is known by.
    """
    names = {*LOCAL, *allowed, os.environ.get(SPACE_HOST, "")}
    if not is_every_address(host):
        names.add(host)
    return frozenset(name.strip().strip("[]").lower() for name in names) - {""}


def is_every_address(host: str) -> bool:
    """Whether a server with this --host listens on all addresses of the machine."""
    address = _address(host.strip("[]"))
    return address is not None and address.is_unspecified


class Hosts:
    """Refuses requests for other hosts, and posts of other pages; says what a browser may load.

    A page elsewhere can make a browser ask this machine, and with a name of its own that leads
    here it could read the answers too. It cannot change what the browser sends as `Host` and
    `Origin`.

    Args:
        app: what answers the others.
        host: the address that is listened on.
        allowed: see `declared_hosts`.
    """

    def __init__(self, app: ASGIApp, host: str, allowed: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = declared_hosts(host, allowed)
        # Behind a proxy the page's own origin need not be the host that the proxy asks for.
        self._public = self._hosts - {*LOCAL, host}
        framed = _HUB if SPACE_HOST in os.environ else ""
        self._headers = {
            "Content-Security-Policy": _POLICY + framed,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        answer = self._with_headers(send)
        headers = Headers(scope=scope)
        if scope["type"] != "http" or not self._is_served(scope, headers):
            refusal = PlainTextResponse(
                "This page is not served under that name. Start it with --allow-host NAME to "
                "serve it there.",
                403,
            )
            await refusal(scope, receive, answer)
        elif not self._may_ask(scope["method"], headers):
            refusal = PlainTextResponse("Other pages may not ask here.", 403)
            await refusal(scope, receive, answer)
        else:
            # What was judged here is seen by nobody else, who might echo it.
            rest = [
                (name, value)
                for name, value in scope["headers"]
                if name not in _JUDGED or (name == _FORWARDED and self._is_public(value))
            ]
            await self._app({**scope, "headers": rest}, receive, answer)

    def _is_served(self, scope: Scope, headers: Headers) -> bool:
        given = headers.getlist("host")
        name = host_name(given[0]) if len(given) == 1 else None
        if name is None:
            return False
        if name in self._hosts:
            return True
        # With --host 0.0.0.0 the page has every address of the machine. An address, not a name, is
        # no way for other pages to come here under their own.
        server = (scope.get("server") or ("",))[0]
        return _address(name) is not None and _address(name) == _address(server or "")

    def _may_ask(self, method: str, headers: Headers) -> bool:
        origins = headers.getlist("origin")
        if not origins:
            return True
        if len(origins) == 1:
            origin = urlsplit(origins[0])
            if origin.netloc.lower() == headers["host"].lower():
                return True
            if host_name(origin.netloc) in self._public:
                return True
        return method in _SAFE and "access-control-request-method" not in headers

    def _is_public(self, host: bytes) -> bool:
        return host_name(host.decode("latin-1")) in self._public

    def _with_headers(self, send: Send) -> Send:
        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        return told


def host_name(given: str) -> str | None:
    """The name in a `Host` header, without its port; None where there is none."""
    try:
        found = urlsplit(f"//{given}")
        _ = found.port
    except ValueError:
        return None
    if found.username is not None or found.path or found.query or found.fragment:
        return None
    return found.hostname


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
