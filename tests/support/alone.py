"""Run a command without any network except loopback: `python alone.py COMMAND...`.

At the end, print how many outgoing packets found no route, including those from compiled code.
The kernel counts these for each network namespace. Linux only; requires root.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_SET_FLAGS = 0x8914  # SIOCSIFFLAGS
_UP_AND_RUNNING = 0x1 | 0x40


def enter_empty_network() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))


def ways_out_sought() -> int:
    """Count the IPv4 and IPv6 packets and connections that found no route."""
    names, values = Path("/proc/self/net/snmp").read_text().splitlines()[:2]
    four = dict(zip(names.split(), values.split(), strict=True))["OutNoRoutes"]
    lines = Path("/proc/self/net/snmp6").read_text().splitlines()
    six = dict(line.split() for line in lines)["Ip6OutNoRoutes"]
    return int(four) + int(six)


if __name__ == "__main__":
    enter_empty_network()
    code = subprocess.call(sys.argv[1:])
    print(f"ways out sought: {ways_out_sought()}")
    sys.exit(code)
