"""Export both towers of a model, with their projectors, to ONNX and plain JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cmr_hub.atomic import atomic_directory
from cmr_hub.checksums import sha256_of_file
from cmr_hub.encoders.backends.onnx_runtime import OnnxRuntimeSession
from cmr_hub.encoders.images.network import NetworkEncoder
from cmr_hub.encoders.images.preprocessing import PIXELS, Preprocessing, Squashing
from cmr_hub.encoders.optional import optional_import
from cmr_hub.errors import CMRError
from cmr_hub.static_site.tokens import text_input

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cmr_hub.encoders.backends.export import Batch
    from cmr_hub.models.cross_modal import CrossModalModel
    from cmr_hub.models.projection import Projection
    from cmr_hub.types import Arrays, FloatArray, JSONObject

IMAGE: Final = "image.onnx"
TEXT: Final = "text.onnx"
PREPROCESSING: Final = "preprocessing.json"
TOKENS: Final = "tokens.json"
MANIFEST: Final = "manifest.json"
LEAST_COSINE: Final = {"float32": 0.9999, "int8": 0.99}
MOST_RECALL_LOST: Final = 0.01
_BATCH: Final = 8
_LEAST_SIZE: Final = 256
"""Minimum size of tensors stored as float16; smaller ones are shapes, biases and scales."""


@dataclass(frozen=True)
class Pairs:
    """Pictures with a sentence for each, used to check an export."""

    pictures: Sequence[Path]
    sentences: Sequence[str]

    @classmethod
    def included(cls) -> Pairs:
        """Return the 150 captioned pictures of the release `photos`."""
        from cmr_hub.gallery.local import LocalStore
        from cmr_hub.models.names import GALLERY
        from cmr_hub.releases import PHOTOS, release_directory

        items = LocalStore.open(release_directory(PHOTOS) / GALLERY).table().to_pylist()
        return cls([Path(item["path"]) for item in items], [item["sentences"][0] for item in items])


def export_model(model: CrossModalModel, out: str | Path, *, int8: bool = False) -> JSONObject:
    """Write a model as `image.onnx`, `text.onnx`, plain JSON and a manifest with SHA-256.

    `image.onnx` maps `pixels` (N, 3, H, W) to unit vectors `rows` (N, d), and `text.onnx` maps the
    inputs that `tokens.json` names to `rows`. Networks compute in float32; the weights of matrix
    products are stored as float16, or with `int8` as 8-bit integers.

    The exported vectors are compared with those of torch on the captioned pictures of the package.

    Args:
        model: a model run by torch on the CPU, with both encoders.
        out: a new directory, or the directory of an earlier export.
        int8: store the weights of matrix products as 8-bit integers, with a scale per column.

    Returns:
        The content of `manifest.json`.

    Raises:
        CMRError: an encoder cannot be exported, the exported vectors differ from those of torch,
            or `out` contains anything else.
    """
    target = Path(out)
    if target.exists() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise CMRError(
            f"{target} is not empty and contains no exported model; choose a new directory"
        )
    precision = "int8" if int8 else "float32"
    with atomic_directory(target) as fresh:
        prepare_images = _export_image_tower(model, fresh, int8=int8)
        prepare_text = _export_text_tower(model, fresh, int8=int8)
        pairs = Pairs.included()
        check = _check(model, fresh, pairs, precision, prepare_images, prepare_text)
        names = (IMAGE, TEXT, PREPROCESSING, TOKENS)
        manifest = {
            "format_version": 1,
            "model": _public_name(model.source),
            "fingerprint": model.fingerprint,
            "dim": model.dim,
            "precision": precision,
            "check": check,
            "files": {
                name: {
                    "sha256": sha256_of_file(fresh / name),
                    "bytes": (fresh / name).stat().st_size,
                }
                for name in names
            },
        }
        _write_json(fresh / MANIFEST, manifest)
    return manifest


def _export_image_tower(
    model: CrossModalModel, fresh: Path, *, int8: bool
) -> Callable[[Sequence[Path]], Arrays]:
    """Write the image tower, and return the function that prepares its input."""
    from cmr_hub.datasets.images import read_image
    from cmr_hub.encoders.backends.calibration import photographs

    encoder = model.image.required_encoder
    own = encoder.preprocessing
    if not isinstance(own, Preprocessing):
        raise CMRError(
            f"a Python library preprocesses the pictures of {encoder.name}, which browsers cannot "
            "run; only the image encoders of this package can be exported"
        )
    _write_json(fresh / PREPROCESSING, _preprocessing(own))

    def prepared(pictures: Sequence[Any]) -> Arrays:
        return own.arrays(np.stack([own.pixels(one) for one in pictures]))

    _write(
        encoder,
        lambda batch: encoder.forward(batch[PIXELS]),
        model.image.projector,
        prepared(photographs(2, 0)),
        fresh / IMAGE,
        is_quick=isinstance(encoder, NetworkEncoder),  # the final check detects errors of tracing
        int8=int8,
    )
    return lambda paths: prepared([read_image(path, enough=own.enough) for path in paths])


def _preprocessing(own: Preprocessing) -> JSONObject:
    return {
        "side": own.crop,
        "resampling": own.resampling.name.lower(),
        "part": None if isinstance(own, Squashing) else own.crop / own.resize,
        "enough": own.enough,
        "mean": list(own.mean),
        "std": list(own.std),
    }


def _export_text_tower(
    model: CrossModalModel, fresh: Path, *, int8: bool
) -> Callable[[str], Arrays]:
    """Write the text tower, and return the function that prepares its input."""
    encoder = model.text.required_encoder
    read = text_input(encoder)
    _write_json(fresh / TOKENS, read.definition)
    _write(
        encoder,
        read.rows,
        model.text.projector,
        read.example,
        fresh / TEXT,
        is_quick=read.is_quick,
        int8=int8,
        network=read.network,
    )
    return read.prepare


def _write(
    encoder: Any,
    rows: Callable[[Batch], Tensor],
    projection: Projection | None,
    example: Arrays,
    file: Path,
    *,
    is_quick: bool,
    int8: bool,
    network: nn.Module | None = None,
) -> None:
    """Export an encoder and its projector as one network."""
    import torch
    from torch import nn
    from torch.nn.functional import normalize

    from cmr_hub.encoders.backends.export import export_onnx
    from cmr_hub.encoders.backends.onnx_runtime import simplify
    from cmr_hub.encoders.backends.quantise import quantise_weights

    if not encoder.placement.is_reference:
        raise CMRError(
            f"only torch on the CPU can export {encoder.name}; load the model with device='cpu' "
            "and backend='torch'"
        )
    module = network if network is not None else encoder.network
    if module is None:
        raise CMRError(f"{encoder.name} cannot be exported, because it is not a torch network")
    parts: list[nn.Module] = [module]
    projector: nn.Module | None = None
    if projection is not None:
        from cmr_hub.models.projector import Projector

        projector = Projector(**projection.settings)
        state = {name: torch.from_numpy(array) for name, array in projection.arrays.items()}
        projector.load_state_dict(state)
        parts.append(projector.eval())

    def run(batch: Batch) -> Tensor:
        found = rows(batch)
        return normalize(found if projector is None else projector(found))

    tensors = {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in example.items()}
    with TemporaryDirectory(dir=file.parent) as workshop:
        traced, simple, small = (Path(workshop) / f"{n}-{file.name}" for n in "abc")
        export_onnx(nn.ModuleList(parts), run, tensors, traced, encoder.name, is_quick=is_quick)
        simplify(traced, simple)
        if int8:
            quantise_weights(simple, small)
        _with_half_weights(small if int8 else simple, file)


def _with_half_weights(file: Path, target: Path) -> None:
    """Write a network as one file, with large float32 matrices as float16 and a cast for each.

    Runtimes apply the casts when they load the network, and compute in float32. Weights of
    convolutions are not rounded, because they are few, and rounding them changes the vectors of
    EfficientNet-Lite2 more than rounding all others.
    """
    onnx: Any = optional_import("onnx", "export to ONNX")
    model = onnx.load(str(file))
    convolutions = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    casts = []
    for tensor in model.graph.initializer:
        is_float = tensor.data_type == onnx.TensorProto.FLOAT
        if not is_float or tensor.name in convolutions or np.prod(tensor.dims) < _LEAST_SIZE:
            continue
        name, half = tensor.name, f"{tensor.name}_half"
        array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        if not np.isfinite(array).all():
            continue
        tensor.CopyFrom(onnx.numpy_helper.from_array(array, half))
        casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT))
    nodes = [type(node).FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
    onnx.save(model, str(target))


def _check(
    model: CrossModalModel,
    fresh: Path,
    pairs: Pairs,
    precision: str,
    prepare_images: Callable[[Sequence[Path]], Arrays],
    prepare_text: Callable[[str], Arrays],
) -> JSONObject:
    """Compare the export with torch. Raises CMRError if the vectors differ."""
    image_session, text_session = (OnnxRuntimeSession(fresh / name) for name in (IMAGE, TEXT))
    usable = [
        (path, text)
        for path, text in zip(pairs.pictures, pairs.sentences, strict=True)
        if model.text.knows((text,))
    ]
    paths, sentences = [path for path, _ in usable], [text for _, text in usable]
    starts = range(0, len(paths), _BATCH)
    found = (
        np.concatenate(
            [image_session(prepare_images(paths[start : start + _BATCH])) for start in starts]
        ),
        np.concatenate([text_session(prepare_text(text)) for text in sentences]),
    )
    expected = model.encode_images(paths), model.encode_texts(sentences)
    images, texts = (
        float((ours.astype(np.float64) * theirs).sum(axis=1).min())
        for ours, theirs in zip(found, expected, strict=True)
    )
    before, after = _recall_at_10(*expected), _recall_at_10(*found)
    least = LEAST_COSINE[precision]
    if not min(images, texts) >= least or not before - after <= MOST_RECALL_LOST:
        raise CMRError(
            f"the model exported in {precision} computes other vectors than torch: minimum cosine "
            f"{images:.5f} for pictures and {texts:.5f} for sentences ({least} is required), "
            f"Recall@10 {after:.3f} instead of {before:.3f}"
            + ("; export it without --int8" if precision == "int8" else "")
        )
    return {
        "pairs": len(paths),
        "image_cosine": round(images, 6),
        "text_cosine": round(texts, 6),
        "recall_at_10": round(after, 4),
        "recall_at_10_torch": round(before, 4),
    }


def _public_name(source: str | None) -> str:
    """Return the name of a model without the path on this machine."""
    name = source or "a model"
    return Path(name).name if Path(name).is_dir() else name


def _recall_at_10(images: FloatArray, texts: FloatArray) -> float:
    """Return the fraction of sentences whose picture is among the ten nearest."""
    scores = texts @ images.T
    better = (scores > np.diag(scores)[:, np.newaxis]).sum(axis=1)
    return float((better < 10).mean())


def _write_json(path: Path, content: JSONObject) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
