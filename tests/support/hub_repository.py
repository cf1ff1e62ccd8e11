"""Data of the test Hub: repositories as commits of files, and the faults to inject."""

import hashlib
from dataclasses import dataclass, field


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Repository:
    """A repository: branches point to commits, and a commit maps paths to files."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        past = self.branches.get(branch, "")
        text = past + "".join(f"{path}{sha256(content)}" for path, content in sorted(files.items()))
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        return sha

    def files(self, branch: str = "main") -> dict[str, bytes]:
        return self.commits[self.branches[branch]]


@dataclass
class Fault:
    """A request that fails.

    Attributes:
        request: a pattern that matches `METHOD /path`.
        status: the status of the response; 0 closes the connection in the middle of the response.
        times: how many times the request fails.
    """

    request: str
    status: int
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    body: str = "no"
