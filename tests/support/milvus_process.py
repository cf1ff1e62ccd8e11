"""A real Milvus server on this machine, from the wheel `milvus`."""

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

TOKEN = "root:Milvus"  # what a server that asks for passwords begins with

_TRIES = 3
# A process of its own: the wheel's class changes the working directory.
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
    """A server with a folder of its own, started at once.

    Args:
        folder: for its files.
        secured: it wants TLS and a password.
    """

    def __init__(self, folder: Path, *, secured: bool = False) -> None:
        self.folder = folder
        self.ca: Path | None = None
        self.options: dict[str, object] = {
            # Half a minute otherwise passes before it forgets that it was killed.
            "common.session.ttl": 5,
            # Milliseconds; a reader who asks for all that is written waits for the next.
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
        # It looks for free ports long before it takes them: one server at a time.
        with FileLock(Path(tempfile.gettempdir()) / "cmr-hub-milvus.lock"):
            for _ in range(_TRIES):
                self.keeper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                if pid := self.keeper.stdout.readline():
                    self.pid = int(pid)
                    return
                self.keeper.communicate()
        raise RuntimeError(f"Milvus does not start; its logs are in {self.folder / 'logs'}")

    def kill(self) -> None:
        """As when the power fails."""
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
