"""Save and load text encoders: `text_encoder.json` and, if there are arrays, a safetensors file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cmr_hub.atomic import atomic_file
from cmr_hub.checksums import sha256_of_arrays
from cmr_hub.encoders.texts import TEXT_ENCODERS, text_encoder_from_state
from cmr_hub.encoders.texts.base import TextEncoder
from cmr_hub.errors import ModelFormatError, NotInstalledError, shown
from cmr_hub.float16 import from_half, to_half
from cmr_hub.outside import LARGEST, read_bytes, read_json
from cmr_hub.types import JSONObject

FORMAT_VERSION = 1
SETTINGS_FILE = "text_encoder.json"
ARRAYS_FILE = "text_encoder.safetensors"


def save_text_encoder(encoder: TextEncoder, directory: str | Path) -> None:
    """Write a fitted encoder to a directory, which is created if needed."""
    settings, arrays = encoder.state()
    folder = Path(directory)
    content = {
        "format_version": FORMAT_VERSION,
        "name": encoder.name,
        "settings": settings,
        "arrays_sha256": sha256_of_arrays(arrays) if arrays else None,
    }
    if arrays:
        # safetensors ignores strides, so a transposed view would be restored incorrectly.
        compact = {name: np.ascontiguousarray(a) for name, a in to_half(arrays).items()}
        with atomic_file(folder / ARRAYS_FILE) as path:
            path.write_bytes(save(compact))
    else:
        (folder / ARRAYS_FILE).unlink(missing_ok=True)
    with atomic_file(folder / SETTINGS_FILE) as path:
        path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def load_text_encoder(directory: str | Path) -> TextEncoder:
    """Restore an encoder written by `save_text_encoder`, bit for bit.

    Raises ModelFormatError, which names the file, if a file is missing, damaged or of another
    version, or if settings and arrays do not match; NotInstalledError if no installed package has
    the encoder.
    """
    file = Path(directory) / SETTINGS_FILE
    content = _read_json(file)
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelFormatError(
            f"{file} has format version {shown(version)}, but this release reads {FORMAT_VERSION}"
        )
    name, settings = content.get("name"), content.get("settings")
    if not isinstance(name, str) or not isinstance(settings, dict):
        raise ModelFormatError(f"{file}: the name or the settings of the encoder are missing")
    arrays: dict[str, np.ndarray] = {}
    digest = content.get("arrays_sha256")
    if digest is not None:
        arrays_file = Path(directory) / ARRAYS_FILE
        try:
            arrays = from_half(load(read_bytes(arrays_file, LARGEST)))
        except (OSError, SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelFormatError(f"{arrays_file} cannot be read: {error}") from error
        if sha256_of_arrays(arrays) != digest:
            raise ModelFormatError(f"{arrays_file} does not have the arrays of {file.name}")
    if name not in TEXT_ENCODERS:
        raise NotInstalledError("text encoder", name, TEXT_ENCODERS.group)
    try:
        return text_encoder_from_state(name, settings, arrays)
    except ModelFormatError as error:
        raise ModelFormatError(f"{file}: {error}") from error


def _read_json(file: Path) -> JSONObject:
    try:
        content = read_json(file)
    except FileNotFoundError as error:
        raise ModelFormatError(f"{file} is missing: the directory has no text encoder") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise ModelFormatError(f"{file} must contain a JSON object")
    return content
