"""`cmr` without seconds of imports for each command.

A process imports libraries, but nothing of this package, and forks for each command. The command
`cmr` that `WarmCmr` writes connects to it, and hands over its arguments, environment and files.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

# None of these reads the settings that a page changes, or starts threads that would be lost.
LIBRARIES = ("torch._dynamo", "pandas", "scipy.stats", "sklearn.linear_model")
COMMAND = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    request = [[{script!r}, *sys.argv[1:]], os.getcwd(), dict(os.environ)]
    server.sendall(json.dumps(request).encode())
    server.shutdown(socket.SHUT_WR)
    code = server.recv(3)
sys.exit(int(code) if code else "cmr has been killed")
"""


class WarmCmr:
    """The process. `command` writes a `cmr` that it answers."""

    def __init__(self) -> None:
        # A short path: that of a socket has at most 107 characters.
        self.folder = tempfile.TemporaryDirectory(prefix="cmr-")
        self.address = str(Path(self.folder.name, "socket"))
        self.process = subprocess.Popen(
            [sys.executable, __file__, self.address],
            env={
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("PYTHONPATH", "COV"))
            },
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def command(self, path: Path, script: Path) -> None:
        """Write a `cmr` that runs like the installed one, `script`."""
        path.parent.mkdir(exist_ok=True)
        values = {"python": sys.executable, "address": self.address, "script": str(script)}
        path.write_text(COMMAND.format(**values))
        path.chmod(0o755)

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate()
        self.folder.cleanup()


def _serve(address: str) -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    assert "cmr_hub" not in sys.modules
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                if not os.fork():
                    server.close()
                    _answer(connection)


def _answer(connection: socket.socket) -> None:
    """Run the command that is asked for, and end this process."""
    code: object = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        files = socket.recv_fds(connection, 1, 3)[1]
        with connection.makefile("rb") as request:
            sys.argv, folder, environment = json.load(request)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace")
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        # As when Python starts: the script's folder instead of this one, then PYTHONPATH.
        sys.path[:1] = [str(Path(sys.argv[0]).parent), *environment["PYTHONPATH"].split(os.pathsep)]
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        if isinstance(code, str):
            print(code, file=sys.stderr)
        threading._shutdown()
        atexit._run_exitfuncs()
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        connection.sendall(str(code if isinstance(code, int) else int(code is not None)).encode())
        os._exit(0)


if __name__ == "__main__":
    _serve(sys.argv[1])
