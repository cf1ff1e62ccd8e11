"""The host names that a dashboard accepts."""

from __future__ import annotations

import socket

import pytest
from streamlit import net_util
from streamlit.web import cli

from cmr_hub.cli.dashboard import dashboard

HERE = {"localhost", "127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("host", "allowed", "expected"),
    [
        ("127.0.0.1", None, HERE),
        ("127.0.0.2", None, {*HERE, "127.0.0.2"}),
        ("127.0.0.1", ["results.example"], {*HERE, "results.example"}),
        ("0.0.0.0", None, {*HERE, socket.gethostname().lower(), "192.0.2.7"}),
        ("::", ["a.example"], {*HERE, socket.gethostname().lower(), "192.0.2.7", "a.example"}),
    ],
)
def test_hosts(host, allowed, expected, monkeypatch, tmp_path) -> None:
    given: list[str] = []
    monkeypatch.setattr(net_util, "get_internal_ip", lambda: "192.0.2.7")
    monkeypatch.setattr(cli, "main", lambda arguments, **_: given.extend(arguments))
    dashboard(tmp_path, host=host, allow_host=allowed)
    assert f"--server.address={host}" in given
    option = "--server.allowedHosts="
    assert {one.removeprefix(option) for one in given if one.startswith(option)} == expected
