"""Choose and check the files of a pretrained encoder.

Only JSON, plain text, SentencePiece vocabularies and safetensors are read, but no pickles and no
programs. Other files of a repository are neither downloaded nor opened.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, TypeAlias

from cmr_hub.encoders.known_checksums import known_sha256
from cmr_hub.encoders.pretrained.code import refuse_code
from cmr_hub.encoders.pretrained.sizes import refuse_sides, refuse_sizes
from cmr_hub.errors import ModelFormatError
from cmr_hub.outside import check_file, home_of, read_json

Library: TypeAlias = Literal["sentence-transformers", "open_clip"]

OPEN_CLIP_CONFIG: Final = "open_clip_config.json"
CONFIG: Final = "config.json"
MODULES: Final = "modules.json"
_ADAPTER: Final = "adapter_config.json"
_OPEN_CLIP_WEIGHTS: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
_PROCESSORS: Final = ("preprocessor_config.json", "processor_config.json", MODULES)
_WEIGHTS: Final = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_INDEX: Final = "model.safetensors.index.json"
_TEXTS: Final = re.compile(r"[\w.-]+\.(json|txt|model|jinja)")
_MODULE_FOLDER: Final = re.compile(r"\d{1,2}_[A-Za-z]{1,60}")
_PICKLES: Final = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack", ".npz", ".onnx")
_MOST_BYTES: Final = {".safetensors": 40 * 2**30, "": 64 * 2**20}


@dataclass(frozen=True)
class PretrainedFiles:
    """Local files of one pretrained encoder.

    Attributes:
        directory: Directory of the files.
        names: Relative paths of the files that are read.
        library: Library that reads the files.
        repository: Repository on the Hub; None for a local directory.
        commit: Commit of the repository.
        label: Name of an encoder without repository. Default: the name of the directory.
    """

    directory: Path
    names: tuple[str, ...]
    library: Library
    repository: str | None = None
    commit: str | None = None
    label: str | None = None

    @classmethod
    def of(
        cls,
        directory: Path,
        library: Library | None = None,
        repository: str | None = None,
        commit: str | None = None,
        label: str | None = None,
    ) -> PretrainedFiles:
        """Return the files in a directory after all checks that are possible before loading.

        Raises:
            ModelFormatError: The directory has no encoder of these libraries, or is not safe.
        """
        where = repository or str(directory)
        chosen, names = needed(_listed(directory), where, library)
        tensors = sum(_check(directory / name, directory, where) for name in names)
        files = cls(directory, names, chosen, repository, commit, label)
        refuse_code(files)
        files._refuse_sizes(tensors)
        return files

    @property
    def name(self) -> str:
        """Name of the encoder: its repository, its label or the name of its directory."""
        return self.repository or self.label or self.directory.resolve().name

    @property
    def source(self) -> str:
        """Source of the encoder: `hf:REPOSITORY@COMMIT`, or `file` without a repository."""
        return "file" if self.repository is None else f"hf:{self.repository}@{self.commit}"

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the names and contents of all files that are read."""
        digest = hashlib.sha256(self.library.encode())
        for name in sorted(self.names):
            digest.update(f"{name}:{known_sha256(self.directory / name)};".encode())
        return digest.hexdigest()

    def read_again(self) -> PretrainedFiles:
        """Return the files as they are now.

        Raises:
            ModelFormatError: The files were removed or have changed.
        """
        try:
            files = self.of(self.directory, self.library, self.repository, self.commit, self.label)
        except OSError as error:
            raise ModelFormatError(f"the files of {self.name} were removed: {error}") from error
        if files.sha256 != self.sha256:
            raise ModelFormatError(
                f"the files of {self.name} have changed since it was loaded: load it again"
            )
        return files

    def json(self, name: str) -> Any:
        """Return the content of a JSON file; an empty object if the file does not exist.

        Raises:
            ModelFormatError: The file is not JSON.
        """
        if name not in self.names:
            return {}
        file = self.directory / name
        try:
            return read_json(file)
        except (OSError, ValueError, RecursionError) as error:
            raise ModelFormatError(f"{file} cannot be read as JSON: {error}") from error

    def _refuse_sizes(self, tensors: int) -> None:
        """Raise ModelFormatError if settings need more than the files can contain."""
        weights = [name for name in self.names if name.endswith(".safetensors")]
        size = sum((self.directory / name).stat().st_size for name in weights)
        for name in self.names:
            kind = name.rpartition("/")[2]
            if kind in (CONFIG, OPEN_CLIP_CONFIG):
                refuse_sizes(self.json(name), size, tensors, f"{self.name}: {name}")
            if kind in (OPEN_CLIP_CONFIG, *_PROCESSORS):
                refuse_sides(self.json(name), f"{self.name}: {name}")

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """Yield a directory with only these files, from which a library can load them."""
        with TemporaryDirectory(prefix="cmr-encoder-") as folder:
            for name in self.names:
                target = Path(folder) / name
                target.parent.mkdir(exist_ok=True)
                source = (self.directory / name).resolve()
                try:
                    target.symlink_to(source)
                except OSError:  # Windows allows links only for some users
                    _link_or_copy(source, target)
            yield Path(folder)

    def copy_to(self, directory: Path) -> None:
        """Copy the files, so that a saved model can be moved to another machine."""
        for name in self.names:
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.directory / name, target)


def needed(
    sizes: Mapping[str, int], where: str, library: Library | None = None
) -> tuple[Library, tuple[str, ...]]:
    """Return the library that reads a repository, and the files that it needs.

    Args:
        sizes: Number of bytes by relative path, of all files.
        where: Name of the repository in error messages.
        library: Library to use if both can read it.

    Raises:
        ModelFormatError: The repository has no encoder of these libraries or no safetensors, or a
            file is too large.
    """
    top = [name for name in sizes if "/" not in name]
    open_clip_weights = [name for name in _OPEN_CLIP_WEIGHTS if name in sizes]
    by_transformers = CONFIG in sizes or MODULES in sizes
    if _ADAPTER in sizes and library is None:
        raise ModelFormatError(
            f"{where} is an adapter of another model (it has {_ADAPTER}): merge it into that model "
            "first (merge_and_unload of peft), and load the result"
        )
    if library is None and OPEN_CLIP_CONFIG in sizes and open_clip_weights:
        # In such a repository of timm, config.json describes the image side only.
        by_transformers = any(name in sizes for name in _PROCESSORS)
    weights: Iterable[str]
    if library != "open_clip" and by_transformers:
        folders = {
            name.split("/")[0]
            for name in sizes
            if name.count("/") == 1 and _MODULE_FOLDER.fullmatch(name.split("/")[0])
        }
        if MODULES not in sizes:
            folders = set()
        parts = [name for name in sizes if "/" not in name or name.split("/")[0] in folders]
        parts = [name for name in parts if name.count("/") <= 1]
        weights = [name for name in parts if _WEIGHTS.fullmatch(name.split("/")[-1])]
        if weights:
            texts = [name for name in parts if _TEXTS.fullmatch(name.split("/")[-1])]
            texts = [name for name in texts if name not in (OPEN_CLIP_CONFIG, _ADAPTER)]
            return "sentence-transformers", _of_size(sizes, [*texts, *weights], where)
    if library != "sentence-transformers" and OPEN_CLIP_CONFIG in sizes:
        weights = open_clip_weights[:1] or [name for name in top if name == "model.safetensors"]
        if weights:
            texts = [name for name in top if _TEXTS.fullmatch(name) and name != _INDEX]
            return "open_clip", _of_size(sizes, [*texts, *weights], where)
    if not by_transformers and OPEN_CLIP_CONFIG not in sizes:
        raise ModelFormatError(
            f"{where} is neither a model of this library nor an encoder that sentence-transformers "
            f"or open_clip can read: it has no {CONFIG} and no {OPEN_CLIP_CONFIG}"
        )
    pickles = sorted(name for name in sizes if name.endswith(_PICKLES))
    shown = f" (it has {', '.join(pickles[:3])})" if pickles else ""
    raise ModelFormatError(
        f"{where} has no weights as safetensors{shown}: other formats can run code and are not "
        "read. Choose a repository or a revision that has model.safetensors (the converter of the "
        "Hub opens a pull request with one: revision='refs/pr/NUMBER'), or convert it with "
        "https://huggingface.co/spaces/safetensors/convert"
    )


def _of_size(sizes: Mapping[str, int], names: Iterable[str], where: str) -> tuple[str, ...]:
    chosen = tuple(sorted(set(names)))
    for name in chosen:
        most = _MOST_BYTES[".safetensors" if name.endswith(".safetensors") else ""]
        if sizes[name] > most:
            raise ModelFormatError(
                f"{where}/{name} has {sizes[name]:,} bytes; the limit is {most:,}"
            )
    return chosen


def _listed(directory: Path) -> dict[str, int]:
    """Return the number of bytes by relative path, up to one level of folders deep."""
    sizes: dict[str, int] = {}
    for path in sorted(directory.iterdir()):
        for file in sorted(path.iterdir()) if path.is_dir() else [path]:
            if not file.is_dir():  # a pipe or a broken link is refused later if it is needed
                size = file.stat().st_size if file.exists() else 0
                sizes[file.relative_to(directory).as_posix()] = size
    return sizes


def _check(path: Path, directory: Path, where: str) -> int:
    """Return the number of tensors in a file of the directory.

    Raises ModelFormatError for a link out of the directory, for a file that is not regular, too
    large or sparse, and for an invalid safetensors file.
    """
    try:
        most = _MOST_BYTES.get(path.suffix, _MOST_BYTES[""])
        if not path.resolve().is_relative_to(home_of(directory)):
            raise ModelFormatError(
                f"{path} is a link that leads out of the directory: replace it by the file"
            )
        check_file(path, most, below=directory)
    except FileNotFoundError as error:
        raise ModelFormatError(f"{where} is incomplete: {path.name} cannot be read") from error
    except OSError as error:
        reason = str(error).removeprefix("it ")
        raise ModelFormatError(f"{path} {reason}: remove it") from error
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                return len(file.keys())
        except (SafetensorError, OSError, ValueError) as error:
            raise ModelFormatError(
                f"{path} is not a valid safetensors file ({error}): delete it and load again"
            ) from error
    return 0


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
