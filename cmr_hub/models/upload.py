"""A folder sent to the Hub as one commit: all of it, or nothing has changed there."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from cmr_hub.checksums import sha256_of_file
from cmr_hub.hub_errors import hub_errors, patiently
from cmr_hub.models.files import is_model_file, model_files
from cmr_hub.models.names import GALLERY, PICTURES
from cmr_hub.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

Kind: TypeAlias = Literal["model", "dataset", "space"]


@dataclass(frozen=True)
class Change:
    """What an upload does to one file of the repository."""

    path: str
    what: Literal["new", "changed", "same", "gone"]
    size: int


class Sent(NamedTuple):
    """Where it is now: the address of the commit or the pull request, and the commit."""

    url: str
    commit: str


@dataclass(frozen=True)
class Upload:
    """Files for a repository.

    Attributes:
        repository: `user/name`; it is made if it is not there.
        files: local files by their path in the repository.
        owns: which files of the repository go when they are not in `files`.
        kind: of the repository.
        private: whether a new repository is; None leaves it to the account.
        branch: where to; None is the main branch. It is made if it is not there.
        create_pr: open a pull request instead.
        token: of the Hub; None takes the one that `hf auth login` kept.
        space_sdk: of a new Space.
    """

    repository: str
    files: Mapping[str, Path]
    owns: Callable[[str], bool]
    kind: Kind = "model"
    private: bool | None = None
    branch: str | None = None
    create_pr: bool = False
    token: str | None = field(default=None, repr=False)
    space_sdk: str | None = None

    def changes(self) -> list[Change]:
        """Compares with what is there; nothing is sent.

        Raises:
            HubError: the Hub cannot be asked.
        """
        with hub_errors(self.repository, self.token):
            return patiently(self._compare)

    def send(self, message: str) -> Sent:
        """Sends what has changed; goes on after a broken connection.

        What has arrived is not sent again. If it fails for good the repository is as it was; one
        that was made for it is removed.

        Args:
            message: of the commit.

        Raises:
            HubError: it cannot be sent.
        """
        with hub_errors(self.repository, self.token), self._made():
            commit = patiently(lambda: self._commit(message))
        return Sent(str(commit.pr_url or commit.commit_url), str(commit.oid))

    @property
    def _api(self) -> HfApi:
        from huggingface_hub import HfApi

        return HfApi(token=self.token, library_name="cmr-hub", library_version=__version__)

    def _compare(self) -> list[Change]:
        there = self._listing()
        found = [
            Change(path, _compared(file, there.get(path)), file.stat().st_size)
            for path, file in sorted(self.files.items())
        ]
        gone = [
            Change(path, "gone", file.size)
            for path, file in sorted(there.items())
            if path not in self.files and self.owns(path)
        ]
        return found + gone

    def _listing(self) -> dict[str, RepoFile]:
        """The repository's files; of the main branch where the branch is still to be made."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
        from huggingface_hub.hf_api import RepoFile

        for revision in (self.branch, None):
            try:
                tree = self._api.list_repo_tree(
                    self.repository, recursive=True, revision=revision, repo_type=self.kind
                )
                return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
            except RepositoryNotFoundError:
                return {}
            except RevisionNotFoundError:
                continue
        return {}

    @contextmanager
    def _made(self) -> Iterator[None]:
        """The repository and its branch are there; on an error what was made for it goes again."""
        where: dict[str, Any] = {"repo_id": self.repository, "repo_type": self.kind}
        api, undo = self._api, []
        try:
            if not patiently(lambda: api.repo_exists(**where)):
                patiently(
                    lambda: api.create_repo(
                        **where, private=self.private, exist_ok=True, space_sdk=self.space_sdk
                    )
                )
                undo.append(lambda: api.delete_repo(**where, missing_ok=True))
            # A pull request is made from the main branch.
            if self.branch is not None and not self.create_pr:
                branch = self.branch
                known = patiently(lambda: api.list_repo_refs(**where)).branches
                if branch not in {ref.name for ref in known}:
                    patiently(lambda: api.create_branch(**where, branch=branch, exist_ok=True))
                    undo.append(lambda: api.delete_branch(**where, branch=branch))
            yield
        except BaseException:
            for step in reversed(undo):
                with suppress(Exception):  # the first error is the one to be told
                    patiently(step)
            raise

    def _commit(self, message: str) -> Any:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = []
        for change in self._compare():
            if change.what == "gone":
                operations.append(CommitOperationDelete(path_in_repo=change.path))
            elif change.what != "same":
                operations.append(
                    CommitOperationAdd(
                        path_in_repo=change.path, path_or_fileobj=self.files[change.path]
                    )
                )
        with warnings.catch_warnings():
            # A gallery's table belongs beside its model.
            warnings.filterwarnings("ignore", ".*about to commit a data file")
            return self._api.create_commit(
                self.repository,
                operations,
                commit_message=message,
                repo_type=self.kind,
                revision=self.branch,
                create_pr=self.create_pr,
            )


def model_upload(directory: Path, repository: str, **options: Any) -> Upload:
    """The upload of a model directory.

    A gallery goes with it if its pictures lie in the directory too: without them it is of no use
    elsewhere, and tells the paths of this machine.
    """
    names = model_files(directory)
    if not (directory / PICTURES).is_dir():
        names = [name for name in names if not name.startswith(f"{GALLERY}/")]
    files = {name: directory / name for name in names}
    return Upload(repository, files, owns=is_model_file, **options)


def _compared(file: Path, there: RepoFile | None) -> Literal["new", "changed", "same"]:
    if there is None:
        return "new"
    own = sha256_of_file(file) if there.lfs else _git_sha1(file)
    return "same" if own == (there.lfs.sha256 if there.lfs else there.blob_id) else "changed"


def _git_sha1(file: Path) -> str:
    """The name that git gives to a file's content."""
    content = file.read_bytes()
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
