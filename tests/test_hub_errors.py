"""A Hub that cannot be reached: one line is said, and the reason is a sentence."""

from __future__ import annotations

import logging
import time

import httpx
import pytest

from cmr_hub import hub_errors
from cmr_hub.errors import HubError
from cmr_hub.hub_errors import with_retries

CLIENT = logging.getLogger("huggingface_hub.utils._http")


def refuse() -> None:
    raise httpx.ConnectError("[Errno 111] Connection refused")


def test_a_call_is_made_four_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_errors, "WAITS", (0, 0, 0))
    calls: list[int] = []
    with pytest.raises(httpx.ConnectError):
        with_retries(lambda: (calls.append(1), refuse()))
    assert len(calls) == 4


def test_what_the_client_has_tried_itself_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Four rounds of its five attempts took two minutes, and said ninety lines."""
    monkeypatch.setattr(hub_errors, "_RETRIED_BY_CLIENT", 0.01)
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        for attempt in range(5):
            CLIENT.warning("'%s' thrown while requesting GET %s", "refused", "http://x")
            CLIENT.warning("Retrying in %ss [Retry %s/5].", 1, attempt)
        time.sleep(0.02)
        refuse()

    with pytest.raises(httpx.ConnectError):
        with_retries(call)
    assert len(calls) == 1
    assert caplog.messages == ["The Hub does not answer; retrying for a while."]
    CLIENT.warning("Retrying in 1s [Retry 1/5].")  # of somebody else's call, afterwards
    CLIENT.warning("Your token has expired")
    assert len(caplog.messages) == 3


def test_a_socks_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    def call() -> None:
        raise ImportError("Using SOCKS proxy, but the 'socksio' package is not installed.")

    refused = pytest.raises(HubError, match=r"a SOCKS proxy is set .* pip install")
    with refused as found, hub_errors.hub_errors("a/b"):
        with_retries(call)
    assert "\n" not in str(found.value)
    with pytest.raises(ImportError), hub_errors.hub_errors("a/b"):
        raise ImportError("no module named x")
