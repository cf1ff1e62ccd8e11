"""Download a repository from the Hub into its cache, and read it."""

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
from cmr_hub.hub_errors import hub_errors, is_transient, with_retries
from cmr_hub.outside import read_json
from cmr_hub.version import __version__

T = TypeVar("T")

Choose: TypeAlias = Callable[[Mapping[str, int], str], Sequence[str]]
"""Function that takes file sizes by name and a repository's name; returns patterns to download.

Raises ModelFormatError for a repository that must not be fetched.
"""

logger = logging.getLogger(__name__)

_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REPOSITORY: Final = re.compile(r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$")
_ANNOUNCED_BYTES: Final = 10_000_000
_LISTINGS: Final = "cmr-hub"


def is_repository(name: str) -> bool:
    """Return whether `name` is a valid name of a Hub repository, `user/name`."""
    return _REPOSITORY.match(name) is not None


def patterns_of(names: Sequence[str]) -> list[str]:
    """Return patterns that match exactly these names."""
    return [glob.escape(name) for name in names]


@dataclass(frozen=True)
class HubSource:
    """A repository to fetch, with options.

    Attributes:
        repository: `user/name`.
        revision: branch, tag or commit; None for the main branch. A cached commit is read without
            any request.
        token: token for the Hub; None or True for the one stored by `hf auth login`, False for
            none.
        cache_dir: directory of the cache; None for the Hub's default.
        local_files_only: make no request to the Hub, as with HF_HUB_OFFLINE=1.
        force_download: download even if cached.
    """

    repository: str
    revision: str | None = None
    token: str | bool | None = field(default=None, repr=False)
    cache_dir: str | Path | None = None
    local_files_only: bool = False
    force_download: bool = False

    def read(self, choose: Choose, read: Callable[[Path], T]) -> T:
        """Return `read(directory)` for the repository's directory in the cache.

        A damaged cached directory is downloaded once more. An interrupted download is resumed.

        Raises:
            HubError: the repository cannot be downloaded.
            ModelFormatError: `choose` or `read` rejects it.
        """
        with hub_errors(self.repository, self.token):
            directory, was_cached = self._fetch(choose)
        try:
            return read(directory)
        except ModelFormatError as error:
            if not was_cached or self._offline:
                raise
            logger.warning("%s. It will be downloaded again.", error)
        with hub_errors(self.repository, self.token):
            directory, _ = replace(self, force_download=True)._fetch(choose)
        return read(directory)

    def _fetch(self, choose: Choose) -> tuple[Path, bool]:
        """Return the directory, and whether it was in the cache before."""
        is_pinned = _COMMIT.fullmatch(self.revision or "") is not None
        if self._offline or (is_pinned and not self.force_download):
            cached = self._cached(choose)
            if cached is not None:
                return cached, True
            if not downloads_allowed():
                raise HubError(
                    f"{self._name} is needed and not on this machine. It was named by a file, not "
                    "by you, so it is not downloaded: load it once by its own name, or "
                    f"{HOW_TO_ALLOW}"
                )
            if self._offline:
                raise HubError(
                    f"{self._name} is not complete in the Hub's cache, and downloads are disabled "
                    "(local_files_only or HF_HUB_OFFLINE is set): load it once without this setting"
                )
        try:
            commit, sizes = with_retries(self._listed)
        except Exception as error:
            cached = (
                None if self.force_download or not is_transient(error) else self._cached(choose)
            )
            if cached is None:
                raise
            logger.warning("The Hub does not answer; %s is read from the cache.", self._name)
            return cached, True
        patterns = list(choose(sizes, self.repository))
        was_cached = not self.force_download and self._cached(choose, commit) is not None
        size = sum(sizes[name] for name in _matching(sizes, patterns))
        if size > _ANNOUNCED_BYTES and not was_cached:
            logger.warning("Downloading %s from the Hub: %s MB", self._name, f"{size / 1e6:,.0f}")
        self._store_listing(commit, sizes)
        directory = self._snapshot(allow_patterns=patterns, force_download=self.force_download)
        return directory, was_cached

    @property
    def _offline(self) -> bool:
        from huggingface_hub import constants

        is_local = self.local_files_only or not downloads_allowed()
        return is_local or bool(constants.HF_HUB_OFFLINE)

    @property
    def _name(self) -> str:
        return self.repository + (f" at {self.revision}" if self.revision else "")

    def _listed(self) -> tuple[str, dict[str, int]]:
        """Return the commit and the sizes of its files by name, without downloading them."""
        from huggingface_hub import HfApi

        api = HfApi(library_name="cmr-hub", library_version=__version__, token=self.token)
        info = api.model_info(self.repository, revision=self.revision, files_metadata=True)
        return str(info.sha), {file.rfilename: file.size or 0 for file in info.siblings or []}

    def _cached(self, choose: Choose, revision: str | None = None) -> Path | None:
        """Return the directory in the cache if it has all files that `choose` selects."""
        from huggingface_hub.errors import LocalEntryNotFoundError

        options = {"revision": revision or self.revision, "local_files_only": True}
        try:
            directory = self._snapshot(**options, allow_patterns=[""])
            # After an interrupted download some files are missing; the stored listing is complete.
            sizes = _listing(directory) or {
                path.relative_to(directory).as_posix(): path.stat().st_size
                for path in directory.rglob("*")
                if path.is_file()
            }
            patterns = list(choose(sizes, self.repository))
            if not all((directory / name).is_file() for name in _matching(sizes, patterns)):
                return None
            return self._snapshot(**options, allow_patterns=patterns)
        except (LocalEntryNotFoundError, ModelFormatError):
            return None

    def _store_listing(self, commit: str, sizes: Mapping[str, int]) -> None:
        """Store the list of a commit's files in the cache."""
        from huggingface_hub import constants

        home = Path(self.cache_dir or constants.HF_HUB_CACHE).expanduser()
        folder = home / f"models--{self.repository.replace('/', '--')}" / _LISTINGS
        with suppress(OSError):  # a read-only cache needs no list, which resumes a download
            folder.mkdir(parents=True, exist_ok=True)
            with atomic_file(folder / f"{commit}.json") as file:
                file.write_text(json.dumps(sizes), encoding="utf-8")

    def _snapshot(self, **options: Any) -> Path:
        from huggingface_hub import snapshot_download

        defaults: dict[str, Any] = {
            "revision": self.revision,
            "token": self.token,
            "cache_dir": self.cache_dir,
            "library_name": "cmr-hub",
            "library_version": __version__,
        }
        return Path(snapshot_download(self.repository, **(defaults | options)))


def _matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if any(fnmatchcase(name, one) for one in patterns)]


def _listing(snapshot: Path) -> dict[str, int] | None:
    """Read the list of a commit's files from the cache; None if there is none."""
    try:
        content = read_json(snapshot.parent.parent / _LISTINGS / f"{snapshot.name}.json")
    except (OSError, ValueError, RecursionError):
        return None
    is_valid = isinstance(content, dict) and all(type(size) is int for size in content.values())
    return content if is_valid else None
