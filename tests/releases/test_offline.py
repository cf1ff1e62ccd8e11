"""No release asks the network for anything."""

import subprocess
import sys

import pytest

from cmr_hub.releases import RELEASES

PROGRAM = """
import socket
def refuse(*args, **kwargs):
    raise AssertionError("a socket was opened")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
import cmr_hub
assert cmr_hub.load({name!r}).search("a red car", k=1)
"""


@pytest.mark.parametrize("name", RELEASES)
def test_no_socket_is_opened(name):
    program = PROGRAM.format(name=name)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=240)
