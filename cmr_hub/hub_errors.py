"""Retry transient errors of the Hub, and explain permanent ones.

Messages never contain a token, although a server may send the token back in its response.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from cmr_hub.atomic import FULL
from cmr_hub.errors import CMRError, HubError, shown

T = TypeVar("T")

logger = logging.getLogger(__name__)

WAITS: Final = (0.5, 2.0, 8.0)
"""Seconds to wait before each retry."""
_RETRIED_BY_CLIENT: Final = 10.0
"""Seconds after which a failed call has already been retried by the client."""
_CLIENT: Final = "huggingface_hub.utils._http"
_RETRY: Final = re.compile(r"thrown while requesting|^Retrying in")

_TOKENS: Final = re.compile(r"hf_\w+|(?<=Bearer )\S+")
_BUSY: Final = {408, 429, 500, 502, 503, 504}
_NETWORK_ERRORS: Final = {"TransportError", "ConnectionError", "TimeoutException"}


@contextmanager
def hub_errors(repository: str, token: str | bool | None = None) -> Iterator[None]:
    """Convert any error inside the context to a HubError that says what to do."""
    try:
        yield
    except CMRError:
        raise
    except ImportError as error:
        if "socks" not in str(error).lower():
            raise
        raise HubError(
            "a SOCKS proxy is set (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY), which the Hub's client "
            "does not support by default: pip install 'httpx[socks]', or use an HTTP proxy"
        ) from None
    except Exception as error:  # the client and its network library have many error classes
        # Not `from error`, whose text may contain a token.
        explanation = _disk_full(error, repository) or _explained(error, repository)
        if isinstance(token, str) and token:
            explanation = explanation.replace(token, "***")
        raise HubError(_TOKENS.sub("***", explanation)) from None


def with_retries(call: Callable[[], T]) -> T:
    """Return `call()`, retrying if the Hub is busy or the connection failed.

    Calls that the client itself has retried are not repeated. Only one line is logged.
    """
    with _log_once():
        for wait in WAITS:
            started = time.monotonic()
            try:
                return call()
            except Exception as error:
                if not is_transient(error) or time.monotonic() - started > _RETRIED_BY_CLIENT:
                    raise
            time.sleep(wait)
        return call()


@contextmanager
def _log_once() -> Iterator[None]:
    """Replace the two lines that the client logs for each attempt by one line in total."""
    client = logging.getLogger(_CLIENT)
    has_logged = False

    def first(record: logging.LogRecord) -> bool:
        nonlocal has_logged
        if record.levelno != logging.WARNING or not _RETRY.search(record.getMessage()):
            return True
        if not has_logged:
            has_logged = True
            logger.warning("The Hub does not answer; retrying for a while.")
        return False

    client.addFilter(first)
    try:
        yield
    finally:
        client.removeFilter(first)


def is_transient(error: BaseException) -> bool:
    """Return whether a retry may succeed, after a busy server or a broken connection."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return False
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _BUSY
    # Any HTTP library may have raised a timeout or a broken connection.
    if {kind.__name__ for kind in type(error).__mro__} & _NETWORK_ERRORS:
        return True
    # The client wraps errors from its threads.
    return (
        isinstance(error, RuntimeError)
        and error.__cause__ is not None
        and is_transient(error.__cause__)
    )


def _explained(error: Exception, repository: str) -> str:
    from huggingface_hub import errors

    cause = error.__cause__
    if isinstance(error, errors.LocalEntryNotFoundError | RuntimeError) and isinstance(
        cause, errors.HfHubHTTPError
    ):
        error = cause  # the original error, before the client tried the cache or wrapped it
    text = " ".join(str(error).split())
    kinds: dict[type[Exception], str] = {
        errors.GatedRepoError: f"{repository} is gated: ask for access on its page on the Hub, "
        "then log in (`hf auth login`) or pass a token",
        errors.RepositoryNotFoundError: f"there is no repository {repository} on the Hub, or it "
        "is private: check the name, and log in (`hf auth login`) or pass a token",
        errors.RevisionNotFoundError: f"{repository} has no such revision: use an existing branch, "
        "tag or commit",
        errors.IncompleteSnapshotError: f"{repository} is not complete in the Hub's cache, and "
        "downloads are disabled: load it once while online",
        errors.LocalEntryNotFoundError: f"{repository} is not in the Hub's cache, and the Hub "
        "cannot be reached or downloads are disabled: load it once while online",
        errors.OfflineModeIsEnabled: f"{repository} must be read from the Hub, but HF_HUB_OFFLINE "
        "is set: unset it",
        errors.HFValidationError: f"{shown(repository)} cannot be the name of a repository: {text}",
    }
    for kind, message in kinds.items():
        if isinstance(error, kind):
            return message
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return (
                f"the Hub refused the request for {repository} ({status}): log in "
                f"(`hf auth login`) or pass a token with the required permission. {text}"
            )
        if status in _BUSY:
            return f"the Hub is busy or unavailable ({status}): try again later. {text}"
        return f"the Hub refused the request for {repository} ({status}): {text}"
    if is_transient(error):
        return f"the connection to the Hub failed ({type(error).__name__}): try again. {text}"
    return f"{repository}: {text or type(error).__name__}"


def _disk_full(error: Exception, repository: str) -> str:
    """Return a message if the disk is full; otherwise an empty text."""
    from huggingface_hub import constants

    for candidate in (error, error.__cause__):
        if isinstance(candidate, OSError) and candidate.errno in FULL:
            return (
                f"{repository} cannot be stored: {candidate.strerror}; free some space in "
                f"{constants.HF_HUB_CACHE}, or set HF_HOME to another location, and try again"
            )
    return ""
