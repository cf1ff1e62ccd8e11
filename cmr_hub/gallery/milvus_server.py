"""Where a Milvus server is, and calls to it that outlast its absence."""

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

_CONNECT_SECONDS, _PATIENCE = 10.0, 60.0
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0
# Milvus has no class of errors for these: it is away, starts, or is too busy.
_MAY_PASS = re.compile(
    "unavailable|connect|timeout|deadline|not ready|rate limit|not healthy|not (fully )?loaded|"
    "no available|not found in shard|closed|retry",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class MilvusAddress:
    """Where a gallery is kept.

    Attributes:
        uri: `http://host:19530`; with `https://` the connection is encrypted.
        collection: the first part of the names of its collections.
        token: `user:password` or an API key; empty without authentication.
        ca: a file with the certificates to trust, for a server that has signed its own.
    """

    uri: str
    collection: str = DEFAULT_COLLECTION
    token: str = field(default="", repr=False)
    ca: Path | None = None

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.uri)
            parts.port  # noqa: B018 - raises where it is no number up to 65535
        except ValueError as error:
            raise QueryError(f"{shown(self.uri)} is no address of a server: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in "/":
            raise QueryError(f"{shown(self.uri)} is no address of a server: http://host:19530")
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,200}", self.collection):
            raise QueryError(f"{shown(self.collection)} is no name: letters, digits and _ make one")

    @classmethod
    def is_one(cls, name: str | Path) -> bool:
        """Whether a gallery's name is that of one on a server."""
        return str(name).startswith(("http://", "https://"))

    @classmethod
    def parse(cls, name: str) -> Self:
        """`http://host:19530/collection`; token and certificates from the environment.

        Raises:
            QueryError: it is something else.
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
    """A connection.

    Args:
        address: of the server.

    Raises:
        CMRError: `pymilvus` is not installed, or the server does not answer.
    """

    def __init__(self, address: MilvusAddress) -> None:
        try:
            from pymilvus import MilvusClient
        except ImportError as error:
            raise CMRError("the engine milvus wants: pip install 'cmr-hub[milvus]'") from error
        self.address = address
        # It logs what it raises, with a traceback, also where the next try goes well.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        options: dict[str, Any] = {"token": address.token}
        if address.ca is not None:
            if not address.ca.is_file():
                raise CMRError(f"there is no file {address.ca} with certificates")
            options |= {"secure": True, "server_pem_path": str(address.ca)}
        try:
            self.client = self._patiently(
                lambda left: MilvusClient(uri=address.uri, timeout=left, **options),
                _CONNECT_SECONDS,
            )
        except CMRError as error:
            raise CMRError(f"{error}. Is it running? Are the token and the TLS right?") from error

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """A method of the client; again and again for a minute while the server is away or busy.

        Raises:
            CMRError: it cannot be done.
        """
        method = getattr(self.client, name)
        return self._patiently(lambda left: method(*arguments, timeout=left, **options), _PATIENCE)

    def pages(self, *arguments: Any, **options: Any) -> Any:
        """Rows of a query, page by page."""
        iterator = self.call("query_iterator", *arguments, **options)
        while page := self._patiently(lambda _: iterator.next(), _PATIENCE):
            yield page
        iterator.close()

    def _patiently(self, work: Callable[[float], Any], seconds: float) -> Any:
        """Calls `work` with the seconds that are left."""
        from pymilvus.exceptions import MilvusException

        end, wait = time.monotonic() + seconds, _FIRST_WAIT
        while True:
            try:
                return work(max(1.0, end - time.monotonic()))
            except (MilvusException, ConnectionError) as error:
                if time.monotonic() + wait > end or not _MAY_PASS.search(str(error)):
                    raise CMRError(f"Milvus at {self.address.uri}: {error}") from error
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
