"""Check the host and the origin of requests to the apps, and set their security headers."""

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
"""Environment variable with the public host name of a Space, set by the Hub."""
_FORWARDED: Final = b"x-forwarded-host"
_CHECKED: Final = (b"origin", b"x-original-host", b"forwarded", _FORWARDED)
_SAFE: Final = ("GET", "HEAD")
# Gradio's page needs inline scripts and styles, and eval. Everything else must come from this
# server, so that a model card or a caption cannot load anything from elsewhere.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-src 'none'; object-src 'none'; base-uri 'self'; form-action 'none'; "
    "frame-ancestors 'self'"
)
_HUB: Final = " https://huggingface.co https://*.huggingface.co"


def declared_hosts(host: str, allowed: Iterable[str] = ()) -> frozenset[str]:
    """Return the host names under which an app may be requested.

    Args:
        host: the address that the app listens on.
        allowed: additional host names, for example that of a reverse proxy.
    """
    names = {*LOCAL, *allowed, os.environ.get(SPACE_HOST, "")}
    if not is_every_address(host):
        names.add(host)
    return frozenset(name.strip().strip("[]").lower() for name in names) - {""}


def is_every_address(host: str) -> bool:
    """Return whether `host` means all addresses of the machine, such as 0.0.0.0."""
    address = _address(host.strip("[]"))
    return address is not None and address.is_unspecified


class Hosts:
    """ASGI middleware that refuses requests for other hosts and posts from other origins.

    A foreign page can make a browser send requests to this machine. With a DNS name that resolves
    to this machine (DNS rebinding), the page can even read the responses. It cannot change the
    `Host` and `Origin` headers that the browser sends.

    Args:
        app: the app behind this one.
        host: the address that the server listens on.
        allowed: see `declared_hosts`.
    """

    def __init__(self, app: ASGIApp, host: str, allowed: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = declared_hosts(host, allowed)
        # Behind a proxy, the origin of the page may differ from the requested host.
        self._public = self._hosts - {*LOCAL, host}
        frame_ancestors = _HUB if SPACE_HOST in os.environ else ""
        self._headers = {
            "Content-Security-Policy": _POLICY + frame_ancestors,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        send = self._with_headers(send)
        headers = Headers(scope=scope)
        if scope["type"] != "http" or not self._is_served(scope, headers):
            refusal = PlainTextResponse(
                "This page is not served under this host name. To allow the name, start the page "
                "with --allow-host NAME.",
                403,
            )
            await refusal(scope, receive, send)
        elif not self._is_allowed_origin(scope["method"], headers):
            refusal = PlainTextResponse("Requests from other pages are not allowed.", 403)
            await refusal(scope, receive, send)
        else:
            # The app might echo these headers, so they are removed.
            headers_left = [
                (name, value)
                for name, value in scope["headers"]
                if name not in _CHECKED
                or (name == _FORWARDED and host_name(value.decode("latin-1")) in self._public)
            ]
            await self._app({**scope, "headers": headers_left}, receive, send)

    def _is_served(self, scope: Scope, headers: Headers) -> bool:
        hosts = headers.getlist("host")
        name = host_name(hosts[0]) if len(hosts) == 1 else None
        if name is None:
            return False
        if name in self._hosts:
            return True
        # With --host 0.0.0.0 the page is served at every address of the machine. DNS rebinding
        # needs a name, so addresses are safe.
        server = (scope.get("server") or ("",))[0]
        return _address(name) is not None and _address(name) == _address(server or "")

    def _is_allowed_origin(self, method: str, headers: Headers) -> bool:
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

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        return send_with_headers


def host_name(header: str) -> str | None:
    """Return the host name in a `Host` header, or None if the header is invalid."""
    try:
        found = urlsplit(f"//{header}")
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
