"""Notes every address that Python asks for, in this process and all that it starts.

Put on PYTHONPATH, it runs before any other code; $CMR_NETWORK_LOG is the file it writes to.
"""

import json
import os
import sys
import traceback

_WATCHED = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
}
_LOG = os.open(os.environ["CMR_NETWORK_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _note(event: str, arguments: tuple[object, ...]) -> None:
    place = _WATCHED.get(event)
    if place is None:
        return
    address = arguments[place]
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(host, bytes):
        host = host.decode("utf-8", "replace")
    stack = traceback.format_stack(limit=12)[:-1]
    line = json.dumps({"event": event, "host": host, "stack": "".join(stack)})
    os.write(_LOG, f"{line}\n".encode())


sys.addaudithook(_note)
