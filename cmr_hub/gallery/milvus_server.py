"""Address of a Milvus server, and a connection that retries calls."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from cmr_hub.errors import CMRError, QueryError, shown

DEFAULT_COLLECTION = "cmr_gallery"
TOKEN_VARIABLE = "CMR_MILVUS_TOKEN"  # noqa: S105 - the name of a variable
CA_VARIABLE = "CMR_MILVUS_CA"

_CONNECT_SECONDS, _RETRY_SECONDS = 10.0, 60.0
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0
# Milvus has no class for transient errors of an unreachable, starting or overloaded server.
_TRANSIENT = re.compile(
    "unavailable|connect|timeout|deadline|not ready|rate limit|not healthy|not (fully )?loaded|"
    "no available|not found in shard|closed|retry",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class MilvusAddress:
    """The address of a gallery in a Milvus server.

    Attributes:
        uri: `http://host:19530`, or `https://` for an encrypted connection.
        collection: prefix of the names of its collections.
        token: `user:password` or an API key; empty without authentication.
        ca: file with trusted certificates, for a server with a self-signed certificate.
    """

    uri: str
    collection: str = DEFAULT_COLLECTION
    token: str = field(default="", repr=False)
    ca: Path | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.uri)
            parts.port  # noqa: B018 - raises if it is not a number up to 65535
        except ValueError as error:
            raise QueryError(
                f"{shown(self.uri)} is not the address of a server: {error}"
            ) from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in "/":
            raise QueryError(
                f"{shown(self.uri)} is not the address of a server, e.g. http://host:19530"
            )
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,200}", self.collection):
            raise QueryError(
                f"{shown(self.collection)} is not a valid name: use only letters, digits and _"
            )

    @classmethod
    def is_one(cls, name: str | Path) -> bool:
        """Return whether the name of a gallery is a server address."""
        return str(name).startswith(("http://", "https://"))

    @classmethod
    def parse(cls, name: str) -> Self:
        """Parse `http://host:19530/collection`, and read token and certificates from the
        environment.

        Raises:
            QueryError: the address is invalid.
        """
        base, _, collection = name.rstrip("/").partition("://")[2].partition("/")
        ca = os.environ.get(CA_VARIABLE)
        return cls(
            f"{name.partition('://')[0]}://{base}",
            collection or DEFAULT_COLLECTION,
            os.environ.get(TOKEN_VARIABLE, ""),
            None if ca is None else Path(ca),
        )

    def __str__(self) -> str:
        return f"{self.uri.rstrip('/')}/{self.collection}"


class MilvusServer:
    """A connection to a Milvus server.

    Args:
        address: address of the server.

    Raises:
        CMRError: `pymilvus` is not installed, or the server does not answer.
    """

    def __init__(self, address: MilvusAddress) -> None:
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise CMRError("Milvus needs an extra: pip install 'cmr-hub[cluster]'") from error
        self.address = address
        # pymilvus logs every error with a traceback, even if the next attempt succeeds.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        options: dict[str, Any] = {"token": address.token}
        if address.ca is not None:
            if not address.ca.is_file():
                raise CMRError(f"the certificates {address.ca} do not exist")
            options |= {"secure": True, "server_pem_path": str(address.ca)}
        try:
            self.client = self._with_retries(
                lambda timeout: MilvusClient(uri=address.uri, timeout=timeout, **options),
                _CONNECT_SECONDS,
            )
        except CMRError as error:
            raise CMRError(
                f"{error}. Is the server running? Are the token and the TLS settings correct?"
            ) from error

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the client; retry for a minute while the server is unavailable.

        Raises:
            CMRError: the call failed.
        """
        method = getattr(self.client, name)
        return self._with_retries(
            lambda timeout: method(*arguments, timeout=timeout, **options), _RETRY_SECONDS
        )

    def pages(self, *arguments: Any, **options: Any) -> Any:
        """Yield the rows of a query page by page."""
        iterator = self.call("query_iterator", *arguments, **options)
        while page := self._with_retries(lambda _: iterator.next(), _RETRY_SECONDS):
            yield page
        iterator.close()

    def _with_retries(self, work: Callable[[float], Any], seconds: float) -> Any:
        """Call `work` with the remaining number of seconds, until it succeeds or the time is up."""
        from pymilvus.exceptions import MilvusException

        end, wait = time.monotonic() + seconds, _FIRST_WAIT
        while True:
            try:
                return work(max(1.0, end - time.monotonic()))
            except (MilvusException, ConnectionError) as error:
                if time.monotonic() + wait > end or not _TRANSIENT.search(str(error)):
                    raise CMRError(f"Milvus at {self.address.uri}: {error}") from error
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
