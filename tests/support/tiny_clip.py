"""A tiny CLIP with random weights in the format of transformers, with a byte-level tokeniser."""

import json
import os
import pickle
from pathlib import Path

DIM = 12
"""Dimension of the common space."""

COMMON = ("a", "dog", "cat", "red", "green", "blue", "sea", "flame", "grass", "picture", "of")
"""Words that are single tokens."""

MARKER = "CMR_CLIP_MARKER"


class Payload:
    """An object whose pickle creates a file when it is loaded."""

    def __reduce__(self):
        return os.system, (f'touch "${MARKER}"',)


def write_clip(folder: Path, seed: int = 0) -> Path:
    """Write a CLIP with two layers per encoder, as `CLIPModel.save_pretrained` does."""
    import torch

    from cmr_hub.encoders.torchvision_ops import ensure_torchvision

    ensure_torchvision()
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        CLIPTokenizer,
    )

    folder.mkdir(parents=True, exist_ok=True)
    merges, pieces = _merges(COMMON)
    signs = list(_byte_signs())
    start, end = "<|startoftext|>", "<|endoftext|>"
    words = list(dict.fromkeys([*signs, *(f"{sign}</w>" for sign in signs), *pieces, start, end]))
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = CLIPTokenizer(vocabulary, merges, model_max_length=77)
    processor = CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    CLIPProcessor(processor, tokenizer).save_pretrained(folder)
    sizes = {"intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": vocabulary[start], "eos_token_id": vocabulary[end]}
    config = CLIPConfig(
        text_config={
            **sizes,
            **ends,
            "pad_token_id": vocabulary[end],
            "hidden_size": 16,
            "vocab_size": len(words),
            "max_position_embeddings": 77,
        },
        vision_config={**sizes, "hidden_size": 24, "image_size": 32, "patch_size": 8},
        projection_dim=DIM,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CLIPModel(config)
        with torch.no_grad():  # with the initial weights, all vectors are nearly equal
            for name, value in network.named_parameters():
                if name.endswith("weight") and value.ndim > 1:
                    value.mul_(4)
        network.save_pretrained(folder)
    return folder


def add_what_nobody_needs(folder: Path) -> set[str]:
    """Add files that repositories often contain but that are not needed; return their names."""
    payload = pickle.dumps(Payload())
    (folder / "onnx").mkdir()
    files = {
        "README.md": b"---\nlicense: mit\n---\n# CLIP\n",
        ".gitattributes": b"*.bin filter=lfs\n",
        "pytorch_model.bin": payload,
        "tf_model.h5": payload,
        "example.png": b"\x89PNG\r\n\x1a\n",
        "run.py": b"raise SystemExit('nobody runs this')\n",
        "onnx/model.onnx": payload,
        "onnx/config.json": b"{}",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return set(files)


def _byte_signs() -> list[str]:
    """Return the printable character for each byte in a byte-level vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    code = {byte: byte for byte in printable}
    code |= {byte: 256 + number for number, byte in enumerate(others)}
    return [chr(code[byte]) for byte in range(256)]


def _merges(words: tuple[str, ...]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return merges that build each word from the left, and the resulting pieces."""
    merges: dict[tuple[str, str], None] = {}
    for word in words:
        letters = [*word[:-1], f"{word[-1]}</w>"]
        while len(letters) > 1:
            merges[letters[0], letters[1]] = None
            letters[:2] = [letters[0] + letters[1]]
    return list(merges), [first + second for first, second in merges]


def config(folder: Path, **change: object) -> None:
    """Change `config.json`."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
