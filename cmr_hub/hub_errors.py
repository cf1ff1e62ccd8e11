"""Talking with the Hub: what fails for a moment is tried again, what fails for good is explained.

No message holds a token: a server may send back what it was sent.
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
"""Seconds before each new attempt."""
_PATIENT: Final = 10.0
"""A call that took longer has tried again by itself."""
_CLIENT: Final = "huggingface_hub.utils._http"
_RETRY: Final = re.compile(r"thrown while requesting|^Retrying in")

_TOKENS: Final = re.compile(r"hf_\w+|(?<=Bearer )\S+")
_BUSY: Final = {408, 429, 500, 502, 503, 504}


@contextmanager
def hub_errors(repository: str, token: str | bool | None = None) -> Iterator[None]:
    """Makes a HubError, with what to do, of everything that goes wrong inside."""
    try:
        yield
    except CMRError:
        raise
    except ImportError as error:
        if "socks" not in str(error).lower():
            raise
        raise HubError(
            "a SOCKS proxy is set (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY), which the Hub's client "
            "cannot use by itself: pip install 'httpx[socks]', or name an HTTP proxy"
        ) from None
    except Exception as error:  # the client has many kinds, and its network library more
        # Not `from error`: its text may hold what must not be shown.
        explained = _no_room(error, repository) or _explained(error, repository)
        raise HubError(_without_tokens(explained, token)) from None


def patiently(call: Callable[[], T]) -> T:
    """`call()`, and again after a while where the Hub is busy or the connection broke.

    The client tries some calls again by itself: then that was the while. Of all that is said but
    one line.
    """
    with _told_once():
        for wait in WAITS:
            started = time.monotonic()
            try:
                return call()
            except Exception as error:
                if not is_passing(error) or time.monotonic() - started > _PATIENT:
                    raise
            time.sleep(wait)
        return call()


@contextmanager
def _told_once() -> Iterator[None]:
    """The client says of every attempt what failed, twice; here the first time is enough."""
    client = logging.getLogger(_CLIENT)
    told = False

    def first(record: logging.LogRecord) -> bool:
        nonlocal told
        if record.levelno != logging.WARNING or not _RETRY.search(record.getMessage()):
            return True
        if not told:
            told = True
            logger.warning("The Hub does not answer; it is asked again for a while.")
        return False

    client.addFilter(first)
    try:
        yield
    finally:
        client.removeFilter(first)


def is_passing(error: BaseException) -> bool:
    """Whether another attempt may succeed: a busy or failing server, or a broken connection."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return False
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _BUSY
    if _of_network(error):
        return True
    # The client wraps what happens in its threads.
    return (
        isinstance(error, RuntimeError)
        and error.__cause__ is not None
        and is_passing(error.__cause__)
    )


def _of_network(error: BaseException) -> bool:
    """Timeouts and broken connections of whichever network library the client uses."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"TransportError", "ConnectionError", "TimeoutException"})


def _explained(error: Exception, repository: str) -> str:
    from huggingface_hub import errors

    cause = error.__cause__
    if isinstance(error, errors.LocalEntryNotFoundError | RuntimeError) and isinstance(
        cause, errors.HfHubHTTPError
    ):
        error = cause  # why the cache was looked into, or what happened in a thread
    text = " ".join(str(error).split())
    kinds: dict[type[Exception], str] = {
        errors.GatedRepoError: f"{repository} is gated: ask for access on its page on the Hub, "
        "then log in (`hf auth login`) or give a token",
        errors.RepositoryNotFoundError: f"there is no repository {repository} on the Hub, or it "
        "is private: check the name, and log in (`hf auth login`) or give a token",
        errors.RevisionNotFoundError: f"{repository} has no such revision: give a branch, a tag "
        "or a commit that it has",
        errors.IncompleteSnapshotError: f"{repository} is not whole in the Hub's cache, and the "
        "Hub is not to be asked: load it once with the network",
        errors.LocalEntryNotFoundError: f"{repository} is not in the Hub's cache, and the Hub "
        "cannot or is not to be asked: load it once with the network",
        errors.OfflineModeIsEnabled: f"{repository} is needed from the Hub, and HF_HUB_OFFLINE is "
        "set: unset it",
        errors.HFValidationError: f"{shown(repository)} cannot be the name of a repository: {text}",
    }
    for kind, message in kinds.items():
        if isinstance(error, kind):
            return message
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return (
                f"the Hub refuses ({status}) what was asked of {repository}: log in "
                f"(`hf auth login`) or give a token that may do it. {text}"
            )
        if status in _BUSY:
            return f"the Hub is busy or out of order ({status}): try again later. {text}"
        return f"the Hub refuses ({status}) what was asked of {repository}: {text}"
    if is_passing(error):
        return f"the connection to the Hub failed ({type(error).__name__}): try again. {text}"
    return f"{repository}: {text or type(error).__name__}"


def _no_room(error: Exception, repository: str) -> str:
    """What to say where the disk is full; else nothing."""
    from huggingface_hub import constants

    for found in (error, error.__cause__):
        if isinstance(found, OSError) and found.errno in FULL:
            return (
                f"{repository} cannot be kept: {found.strerror}; make room in "
                f"{constants.HF_HUB_CACHE}, or name another place with HF_HOME, and try again"
            )
    return ""


def _without_tokens(message: str, token: str | bool | None) -> str:
    if isinstance(token, str) and token:
        message = message.replace(token, "***")
    return _TOKENS.sub("***", message)
