"""Download onnxruntime-web, which runs networks in browsers, from the npm registry."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import tarfile
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Final

from cmr_hub.atomic import atomic_directory
from cmr_hub.cache_home import default_cache_home
from cmr_hub.errors import CMRError

VERSION: Final = "1.30.0"
SHA512: Final = (
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
)
"""SHA-512 of the package's archive in base64, as in a `package-lock.json`."""
FILES: Final = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
GPU_FILES: Final = (
    "ort.jspi.min.mjs",
    "ort-wasm-simd-threaded.jspi.mjs",
    "ort-wasm-simd-threaded.jspi.wasm",
)
"""The runtime with WebGPU, which browsers that support it load to index the visitor's pictures."""
LICENCES: Final = ("LICENSE", "ThirdPartyNotices.txt")
REGISTRY: Final = "https://registry.npmjs.org"
_MOST: Final = 64 * 2**20
_SECONDS: Final = 60


def runtime(*, allow_download: bool = False) -> Path:
    """Return the folder of `FILES` and `GPU_FILES` in the cache; download them if needed.

    Raises:
        CMRError: the files are not in the cache and must not be downloaded, the download fails, or
            its SHA-512 is wrong.
    """
    folder = default_cache_home() / f"onnxruntime-web-{VERSION}"
    if all((folder / name).is_file() for name in (*FILES, *GPU_FILES)):
        return folder
    registry = os.environ.get("NPM_CONFIG_REGISTRY", REGISTRY).rstrip("/")
    address = f"{registry}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
    if not allow_download:
        raise CMRError(
            f"onnxruntime-web {VERSION}, which runs the model in the browser, is not in "
            f"{folder.parent}: use --allow-download to download it once ({address}, 33 MB)"
        )
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as reply:  # noqa: S310 - the registry
            content = reply.read(_MOST)
    except OSError as error:
        raise CMRError(
            f"cannot download {address}: {error}; check the network connection and try again"
        ) from error
    keep_runtime(content, folder)
    return folder


def keep_runtime(content: bytes, folder: Path) -> None:
    """Unpack `FILES` and `GPU_FILES` from an archive. Raises CMRError for a wrong SHA-512."""
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != SHA512:
        raise CMRError(
            f"the archive of onnxruntime-web {VERSION} has another SHA-512 than expected and was "
            "not used; try again, or check NPM_CONFIG_REGISTRY"
        )
    with (
        tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive,
        atomic_directory(folder) as fresh,
    ):
        for name in (*FILES, *GPU_FILES):
            member = archive.extractfile(f"package/dist/{name}")
            if member is None:
                raise CMRError(f"onnxruntime-web {VERSION} has no file {name}")
            (fresh / name).write_bytes(member.read())


def copy_runtime(source: Path, target: Path) -> None:
    """Copy the runtime with the licence and the third-party notices of ONNX Runtime."""
    target.mkdir()
    for name in (*FILES, *GPU_FILES):
        shutil.copyfile(source / name, target / name)
    own = Path(str(metadata.distribution("onnxruntime").locate_file("onnxruntime")))
    for name in LICENCES:  # the npm package lacks these files
        shutil.copyfile(own / name, target / name)
