"""A repository of the Hub on this machine: fetched once, kept in the Hub's cache, then doubted."""

from __future__ import annotations

import glob
import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from cmr_hub.atomic import atomic_file
from cmr_hub.downloads import HOW_TO_ALLOW, downloads_allowed
from cmr_hub.errors import HubError, ModelFormatError
from cmr_hub.hub_errors import hub_errors, is_passing, patiently
from cmr_hub.outside import read_json
from cmr_hub.version import __version__

T = TypeVar("T")

Choose: TypeAlias = Callable[[Mapping[str, int], str], Sequence[str]]
"""Bytes by name of all files of a repository, and what to call it → patterns of those to fetch.

Raises ModelFormatError for a repository that must not be fetched.
"""

logger = logging.getLogger(__name__)

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REPOSITORY: Final = re.compile(r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$")
_WORTH_SAYING: Final = 10_000_000
_LISTINGS: Final = "cmr-hub"


def is_repository(name: str) -> bool:
    """Whether this can be the name of a repository on the Hub, `user/name`."""
    return _REPOSITORY.match(name) is not None


def patterns_of(names: Sequence[str]) -> list[str]:
    """Patterns that match these names and no others."""
    return [glob.escape(name) for name in names]


@dataclass(frozen=True)
class HubSource:
    """Which repository to fetch, and how.

    Attributes:
        repository: `user/name`.
        revision: a branch, a tag or a commit; None is the main branch. A commit that is in the
            cache is read without any request.
        token: of the Hub; None or True takes the one that `hf auth login` kept, False none.
        cache_dir: where to keep it; None is the Hub's own cache.
        local_files_only: ask the Hub for nothing. The environment's HF_HUB_OFFLINE=1 does too.
        force_download: fetch anew what is in the cache.
    """

    repository: str
    revision: str | None = None
    token: str | bool | None = field(default=None, repr=False)
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    force_download: bool = False

    def read(self, choose: Choose, read: Callable[[Path], T]) -> T:
        """`read(directory)` of the repository's directory in the cache.

        A directory that was in the cache and is damaged is fetched once more. An interrupted
        download goes on where it was.

        Raises:
            HubError: it cannot be fetched.
            ModelFormatError: `choose` or `read` refuses it.
        """
        with hub_errors(self.repository, self.token):
            directory, was_there = self._fetch(choose)
        try:
            return read(directory)
        except ModelFormatError as error:
            if not was_there or self._offline:
                raise
            logger.warning("%s. It is fetched once more.", error)
        with hub_errors(self.repository, self.token):
            directory, _ = replace(self, force_download=True)._fetch(choose)
        return read(directory)

    def _fetch(self, choose: Choose) -> tuple[Path, bool]:
        """The directory, and whether it was in the cache before."""
        pinned = _COMMIT.fullmatch(self.revision or "") is not None
        if self._offline or (pinned and not self.force_download):
            found = self._cached(choose)
            if found is not None:
                return found, True
            if not downloads_allowed():
                raise HubError(
                    f"{self._name} is needed and not on this machine. It was named by a file, not "
                    f"by you, so it is not fetched: load it once by its own name, or {HOW_TO_ALLOW}"
                )
            if self._offline:
                raise HubError(
                    f"{self._name} is not whole in the Hub's cache, and the Hub is not to be "
                    "asked (local_files_only, or HF_HUB_OFFLINE is set): load it once without"
                )
        try:
            commit, sizes = patiently(self._listed)
        except Exception as error:
            found = None if self.force_download or not is_passing(error) else self._cached(choose)
            if found is None:
                raise
            logger.warning("The Hub does not answer; %s is read from the cache.", self._name)
            return found, True
        patterns = list(choose(sizes, self.repository))
        was_there = not self.force_download and self._cached(choose, commit) is not None
        size = sum(sizes[name] for name in _matching(sizes, patterns))
        if size > _WORTH_SAYING and not was_there:
            logger.warning("Downloading %s from the Hub: %s MB", self._name, f"{size / 1e6:,.0f}")
        self._keep_listing(commit, sizes)
        directory = self._snapshot(allow_patterns=patterns, force_download=self.force_download)
        return directory, was_there

    @property
    def _offline(self) -> bool:
        from huggingface_hub import constants

        asked_not_to = self.local_files_only or not downloads_allowed()
        return asked_not_to or bool(constants.HF_HUB_OFFLINE)

    @property
    def _name(self) -> str:
        return self.repository + (f" at {self.revision}" if self.revision else "")

    def _listed(self) -> tuple[str, dict[str, int]]:
        """The commit, and the sizes of its files by name; none of them is fetched."""
        from huggingface_hub import HfApi

        api = HfApi(library_name="cmr-hub", library_version=__version__, token=self.token)
        info = api.model_info(self.repository, revision=self.revision, files_metadata=True)
        return str(info.sha), {file.rfilename: file.size or 0 for file in info.siblings or []}

    def _cached(self, choose: Choose, revision: str | None = None) -> Path | None:
        """The directory in the cache, if all that `choose` wants of it is there."""
        from huggingface_hub.errors import LocalEntryNotFoundError

        asked = {"revision": revision or self.revision, "local_files_only": True}
        try:
            there = self._snapshot(**asked, allow_patterns=[""])
            # A download that was cut leaves some of the files: only the listing tells which.
            sizes = _listing(there) or _sizes(there)
            patterns = list(choose(sizes, self.repository))
            if not all((there / name).is_file() for name in _matching(sizes, patterns)):
                return None
            return self._snapshot(**asked, allow_patterns=patterns)
        except (LocalEntryNotFoundError, ModelFormatError):
            return None

    def _keep_listing(self, commit: str, sizes: Mapping[str, int]) -> None:
        """Notes beside the snapshots which files a commit has."""
        from huggingface_hub import constants

        home = Path(self.cache_dir or constants.HF_HUB_CACHE).expanduser()
        folder = home / f"models--{self.repository.replace('/', '--')}" / _LISTINGS
        with suppress(OSError):  # a cache that may only be read is whole, or of no use
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_file(folder / f"{commit}.json") as file:
                file.write_text(json.dumps(sizes), encoding="utf-8")

    def _snapshot(self, **options: Any) -> Path:
        from huggingface_hub import snapshot_download

        asked: dict[str, Any] = {
            "revision": self.revision,
            "token": self.token,
            "cache_dir": self.cache_dir,
            "library_name": "cmr-hub",
            "library_version": __version__,
        }
        return Path(snapshot_download(self.repository, **(asked | options)))


def _matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, one) for one in patterns)]


def _listing(snapshot: Path) -> dict[str, int] | None:
    """What `_keep_listing` noted of the commit in a cache; None where there is no such note."""
    note = snapshot.parent.parent / _LISTINGS / f"{snapshot.name}.json"
    try:
        content = read_json(note)
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(content, dict) and all(type(size) is int for size in content.values())
    return content if known else None


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes by relative path of the files in a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
