"""Start a real Milvus server on this machine, from the package `milvus`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

TOKEN = "root:Milvus"  # the initial password of a secured server

_TRIES = 3
# Use a separate process because the class of the package changes the working directory.
_START = """
import json, sys, time
from milvus import MilvusServer
server = MilvusServer()
server.set_base_dir(sys.argv[1])
server.listen_port = int(sys.argv[2])
for name, value in json.loads(sys.argv[3]).items():
    server.config.set(name, value)
server.start()
print(server.server_proc.pid, flush=True)
time.sleep(3600)
"""


class MilvusProcess:
    """A server with its own folder, started on creation.

    Args:
        folder: the folder for its files.
        secured: whether the server requires TLS and a password.
    """

    def __init__(self, folder: Path, *, secured: bool = False) -> None:
        self.folder = folder
        self.ca: Path | None = None
        self.options: dict[str, object] = {
            # After a kill, the default takes half a minute to expire.
            "common.session.ttl": 5,
            # In milliseconds; a strongly consistent read waits for the next tick.
            "proxy.timeTickInterval": 20,
        }
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if secured:
            self.ca = self._sign()
            self.options |= {
                "authorization_enabled": True,
                "tls_mode": 1,
                "server_pem_path": str(self.ca),
                "server_key_path": str(folder / "key.pem"),
            }
        self.start()

    @property
    def uri(self) -> str:
        return f"{'https' if self.ca else 'http'}://localhost:{self.port}"

    def start(self) -> None:
        options = json.dumps(self.options)
        command = [sys.executable, "-c", _START, str(self.folder), str(self.port), options]
        # Milvus looks for free ports long before it binds them, so start one server at a time.
        with FileLock(Path(tempfile.gettempdir()) / "cmr-hub-milvus.lock"):
            for _ in range(_TRIES):
                self.keeper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                if pid := self.keeper.stdout.readline():
                    self.pid = int(pid)
                    return
                self.keeper.communicate()
        raise RuntimeError(f"Milvus does not start; its logs are in {self.folder / 'logs'}")

    def kill(self) -> None:
        """Kill the server, as a power failure would."""
        os.kill(self.pid, signal.SIGKILL)
        self.keeper.kill()
        self.keeper.communicate()

    def _sign(self) -> Path:
        certificate = self.folder / "certificate.pem"
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        key = ["-keyout", str(self.folder / "key.pem"), "-out", str(certificate)]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *key],
            check=True,
            capture_output=True,
        )
        return certificate


def can_be_secured() -> bool:
    return shutil.which("openssl") is not None
