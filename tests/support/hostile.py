"""Model directories that must be refused: the damage and the expected error message."""

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from cmr_hub.checksums import sha256_of_arrays, sha256_of_file

Damage = Callable[[Path], object]
MARKER = "CMR_HOSTILE_MARKER"


class Payload:
    """An object whose pickle creates a file when it is loaded."""

    def __reduce__(self):
        return os.system, (f'touch "${MARKER}"',)


def wide(content):
    content["image_tower"]["projector"].update(WIDE)
    content["image_tower"]["encoder"]["dim"] = WIDE["in_dim"]


def config(change: Callable[[dict], object]) -> Damage:
    def damage(directory: Path) -> None:
        path = directory / "config.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return damage


def sealed(damage: Damage) -> Damage:
    """Recompute all checksums after the damage, as an attacker could."""

    def both(directory: Path) -> None:
        damage(directory)
        config(
            lambda content: content.update(
                files={name: sha256_of_file(directory / name) for name in content["files"]}
            )
        )(directory)

    return both


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(directory: Path) -> None:
        found = load_file(directory / "model.safetensors")
        change(found)
        save_file(
            {name: value.contiguous() for name, value in found.items()},
            directory / "model.safetensors",
        )

    return sealed(damage)


def header(change: Callable[[dict], object]) -> Damage:
    """Rewrite the header of `model.safetensors` and keep the bytes of the tensors."""

    def damage(directory: Path) -> None:
        path = directory / "model.safetensors"
        content = path.read_bytes()
        (length,) = struct.unpack("<Q", content[:8])
        entries = json.loads(content[8 : 8 + length])
        changed = change(entries)
        text = changed if isinstance(changed, bytes) else json.dumps(entries).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return sealed(damage)


def written(name: str, content: bytes) -> Damage:
    return lambda directory: (directory / name).write_bytes(content)


def link(name: str, target: str) -> Damage:
    def damage(directory: Path) -> None:
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).unlink(missing_ok=True)
        (directory / name).symlink_to(target)

    return damage


def words(change: Callable[[dict], object]) -> Damage:
    def damage(directory: Path) -> None:
        path = directory / "text_encoder.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return sealed(damage)


def word_weights(value: float) -> Damage:
    def damage(directory: Path) -> None:
        path = directory / "text_encoder.safetensors"
        arrays = {name: array.copy() for name, array in load_arrays(path).items()}
        arrays["idf"][0] = value
        save_arrays(arrays, path)
        words(lambda content: content.update(arrays_sha256=sha256_of_arrays(arrays)))(directory)

    return sealed(damage)


def stretched(entries: dict) -> None:
    entries["image_projector.layers.1.weight"]["shape"] = [10**9, 10**9]


def overlapping(entries: dict) -> None:
    first, second = sorted(name for name in entries if name.startswith("centroids"))
    entries[second]["data_offsets"] = entries[first]["data_offsets"]


def twice(entries: dict) -> bytes:
    """Store two entries with the same name; the library reads the last one."""
    return json.dumps(entries).replace("centroids.images", "centroids.texts").encode()


def fifo(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    os.mkfifo(directory / "model.safetensors")


def pickled_instead(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(pickle.dumps(Payload()))


def transposed(found: dict) -> None:
    found["image_projector.layers.1.weight"] = found["image_projector.layers.1.weight"].T


WIDE = {"in_dim": 10**6, "hidden": [10**6] * 16}
ZIP = b"PK\x03\x04" + bytes(60)

HOSTILE: dict[str, tuple[Damage, str]] = {
    # ---- the config
    "no config": (lambda directory: (directory / "config.json").unlink(), "has no config.json"),
    "config of 50 MB": (
        written("config.json", b'{"format_version": 1, "x": "' + b"x" * 50_000_000 + b'"}'),
        r"config.json has .* bytes, more than the 1,000,000 allowed",
    ),
    "config is no JSON": (written("config.json", b"import os"), "config.json is not valid JSON: E"),
    "config is nested deep": (
        written("config.json", b'{"a":' * 100_000),
        "config.json is not valid JSON: maximum recursion",
    ),
    "another version": (
        config(lambda content: content.update(format_version=99)),
        "has format version 99",
    ),
    "a key is missing": (config(lambda content: content.pop("classes")), "classes: Field required"),
    "code of its own": (
        config(lambda content: content.update(auto_map={"AutoModel": "evil.Model"})),
        "auto_map: Extra inputs are not permitted",
    ),
    "a path that climbs": (
        config(lambda content: content["files"].update({"../x": "0" * 64})),
        r"'\.\./x' is not a relative path",
    ),
    "an absolute path": (
        config(lambda content: content["files"].update({"/etc/passwd": "0" * 64})),
        "'/etc/passwd' is not a relative path",
    ),
    "a file that is not there": (
        config(lambda content: content["files"].update({"more.json": "0" * 64})),
        "incomplete: more.json is missing",
    ),
    "no checksum of the tensors": (
        config(lambda content: content["files"].pop("model.safetensors")),
        "has no checksum of model.safetensors",
    ),
    "a huge shape in the config": (
        config(wide),
        r"the config requires float32 or float16 \(1000000,",
    ),
    "a shape beyond all": (
        config(lambda content: content["image_tower"]["projector"].update(in_dim=10**12)),
        "in_dim: Input should be less than or equal to 1000000",
    ),
    "NaN in the config": (
        config(lambda content: content["image_tower"]["projector"].update(radius=float("nan"))),
        "radius: Input should be",
    ),
    "an encoder that is a module": (
        config(lambda content: content["image_tower"]["encoder"].update(name="os:system")),
        "unknown image encoder 'os:system'",
    ),
    # ---- the weights
    "a pickle for weights": (pickled_instead, "has the file pytorch_model.bin, which can run code"),
    "a pickle beside weights": (
        written("optimizer.PT", pickle.dumps(Payload())),
        "has the file optimizer.PT, which can run code",
    ),
    "a pickle by another name": (
        written("model.safetensors", pickle.dumps(Payload())),
        "model.safetensors is a renamed pickle",
    ),
    "a torch archive by another name": (
        written("text_encoder.safetensors", ZIP),
        "text_encoder.safetensors is a renamed pickle",
    ),
    "a program": (
        written("modeling.py", b"import os"),
        "has the file modeling.py, which can run code",
    ),
    "a header that lies about its length": (
        written("model.safetensors", struct.pack("<Q", 2**40) + b"{}" * 100),
        "safetensors file: .*header too large",
    ),
    "an empty file": (
        written("model.safetensors", b""),
        "safetensors file: .*header too small",
    ),
    "a header of 2 MB": (
        written("model.safetensors", struct.pack("<Q", 2_000_000) + b" " * 2_000_000),
        "has a header of 2,000,000 bytes",
    ),
    "a header that is no JSON": (
        header(lambda entries: b"pickle"),
        "safetensors file: .*invalid JSON in header: expected",
    ),
    "a header that is nested deep": (
        header(lambda entries: b'{"a":' * 100_000),
        "safetensors file: .*recursion limit exceeded",
    ),
    "a name that stands twice": (
        header(twice),
        "safetensors file: .*invalid offset for tensor `centroids.texts`",
    ),
    "an unknown dtype": (
        header(lambda entries: entries["centroids.texts"].update(dtype="OBJECT")),
        "safetensors file: .*unknown variant `OBJECT`",
    ),
    "a negative offset": (
        header(lambda entries: entries["centroids.texts"].update(data_offsets=[-8, 64])),
        "safetensors file: .*invalid value: integer `-8`",
    ),
    "a huge shape in the header": (
        header(stretched),
        r"safetensors file: .*overflow computing buffer size",
    ),
    "tensors that overlap": (
        header(overlapping),
        "safetensors file: .*invalid offset for tensor `centroids",
    ),
    "a cut file": (
        lambda directory: os.truncate(directory / "model.safetensors", 5_000),
        "not a valid safetensors file: .*metadata, file not fully covered",
    ),
    "something behind the tensors": (
        lambda directory: (directory / "model.safetensors").open("ab").write(b"x" * 100),
        "model.safetensors is not a valid .*incomplete metadata, file not fully covered",
    ),
    "a wrong dtype": (
        tensors(lambda found: found.update({"centroids.images": torch.zeros(3, 6).double()})),
        r"centroids.images is F64 \(3, 6\), but the config requires float32",
    ),
    "a wrong shape": (tensors(transposed), r"layers.1.weight is F32 \(1280, 5\)"),
    "NaN weights": (
        tensors(lambda found: found["text_projector.layers.1.weight"].fill_(torch.nan)),
        "text_projector.layers.1.weight has values that are not finite",
    ),
    "a missing tensor": (
        tensors(lambda found: found.pop("text_projector.scaling.scale")),
        "has no tensor text_projector.scaling.scale",
    ),
    "an extra tensor": (
        tensors(lambda found: found.update(more=torch.zeros(2))),
        r"no part of the model uses: \['more'\]",
    ),
    "a changed byte": (
        lambda directory: flip(directory / "model.safetensors"),
        "model.safetensors is damaged or was changed: its checksum",
    ),
    # ---- links and other things
    "a link to a file elsewhere": (
        link("model.safetensors", "/etc/hostname"),
        "model.safetensors is a link that leads out",
    ),
    "a picture that is a link": (
        link("pictures/0.png", "/etc/passwd"),
        "0.png is a link that leads out",
    ),
    "a link to nothing": (link("history.json", "nothing"), "history.json is a broken link"),
    "a pipe": (fifo, "model.safetensors is neither a file nor a folder"),
    # ---- words, history, gallery
    "words of 20 MB": (
        written("text_encoder.json", b'["' + b"x" * 20_000_000 + b'"]'),
        "text_encoder.json has .* bytes, more than the 16,000,000 allowed",
    ),
    "words of another kind": (
        words(lambda content: content.update(name="../../evil")),
        r"unknown text encoder '\.\./\.\./evil'",
    ),
    "a word that stands twice": (
        words(lambda content: content["settings"]["vocabulary"].__setitem__(0, "flame")),
        "the vocabulary has a repeated word",
    ),
    "NaN weights of words": (word_weights(np.nan), "'idf' has values that are not finite"),
    "history that is nested deep": (
        sealed(written("history.json", b"[" * 100_000)),
        "history.json cannot be read: maximum",
    ),
    "a gallery that is a pickle": (
        written("gallery/embeddings.safetensors", pickle.dumps(Payload())),
        "embeddings.safetensors is a renamed pickle",
    ),
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def hostile_copy(good: Path, to: Path, name: str) -> tuple[Path, str]:
    """Return a damaged copy of a valid model directory and the expected error message."""
    damage, message = HOSTILE[name]
    directory = shutil.copytree(good, to)
    damage(directory)
    return directory, message
