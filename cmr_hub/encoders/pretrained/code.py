"""Refuse settings that would let a library run code or download other repositories.

Code of a repository is never downloaded or run. But large libraries interpret settings, which can
name classes to import, other repositories, and options that allow code to run.
"""

from __future__ import annotations

import re
from typing import Any, Final, Protocol

from cmr_hub.encoders.pretrained.sizes import objects
from cmr_hub.errors import ModelFormatError, shown

_MODULES: Final = "modules.json"
_MODULE_TYPE: Final = re.compile(r"sentence_transformers\.[\w.]+")
_SETTINGS: Final = re.compile(r"(\w*config|modules|sentence_\w+)\.json")
_TOKENIZER_OPTIONS: Final = {
    *("clean", "language", "reduction_mask", "strip_sep_token", "use_fast"),
}
_REPOSITORY: Final = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*")


class Files(Protocol):
    """The attributes of `PretrainedFiles` that are checked."""

    @property
    def name(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def library(self) -> str: ...

    def json(self, name: str) -> Any: ...


def refuse_code(files: Files) -> None:
    """Check all settings of an encoder.

    Raises:
        ModelFormatError: The settings need code that is not part of the library, or weights or
            kernels of another repository.
    """
    for name in files.names:
        if _SETTINGS.fullmatch(name.rpartition("/")[2]):
            for settings in objects(files.json(name)):
                for key, value in settings.items():
                    _check_setting(files, name, key, value)
    if files.library == "sentence-transformers" and _MODULES in files.names:
        modules = files.json(_MODULES)
        if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
            raise ModelFormatError(f"{files.name}: {_MODULES} is not a list of modules")


def _check_setting(files: Files, name: str, key: str, value: Any) -> None:
    if key.endswith("attn_implementation") and "/" in str(value):
        raise _refused(files, f"{name} names a kernel of another repository")
    if files.library == "sentence-transformers":
        # It is loaded with trust_remote_code=False, which its settings cannot override.
        if key == "type" and name == _MODULES and not _MODULE_TYPE.fullmatch(str(value)):
            raise ModelFormatError(
                f"{files.name} needs {shown(value)}, which is custom code: only modules of "
                "sentence-transformers are loaded"
            )
        return
    # open_clip has no such option, and passes settings on to transformers.
    if key == "auto_map":
        raise _refused(files, f"{name} names custom classes (auto_map)")
    if key == "tokenizer_kwargs":
        unknown = sorted(set(value or {}) - _TOKENIZER_OPTIONS)
        if unknown:
            raise _refused(files, f"{name} sets the tokeniser option {shown(unknown[0])}")
    if key == "hf_model_name" and not _REPOSITORY.fullmatch(str(value)):
        raise _refused(files, f"{name} names {shown(value)}, which is not a repository")


def _refused(files: Files, reason: str) -> ModelFormatError:
    return ModelFormatError(
        f"{files.name} is not loaded: {reason}, but only code of the library is run and only "
        "files of the encoder are read"
    )
