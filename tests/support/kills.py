"""Commands that are killed at random moments and started again until they finish.

Each kind of work is a list of commands in its own folder. A command may be killed several times,
at a call that writes to the disk. After each kill, the files must be intact. At the end, the result
must be the same as without kills, and no temporary files may remain.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from cmr_process import Cmr, Cut
from hub_server import TOKEN, HubServer
from pictures import picture
from PIL import Image
from small_study import GRID, write_wikipedia

import cmr_hub
from cmr_hub.experiments.results import read_runs
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.manifest import holds_gallery
from cmr_hub.releases import release_directory

POINTS = (
    *("cmr_hub.atomic:sync", "os:fsync", "os:replace"),
    *("pathlib:Path.replace", "pathlib:Path.rename", "pathlib:Path.unlink", "pathlib:Path.mkdir"),
    *("pathlib:Path.write_bytes", "pathlib:Path.write_text", "pathlib:Path.touch"),
)
"""Functions before or after which a process may be killed."""
TRIES = 40
"""Number of moments to try; a command may not reach a moment that was drawn."""


class Work(ABC):
    """Base class of the kinds of work.

    Args:
        home: a folder for this work alone.
        common: the data created by `prepare`, which all work of this kind shares.
    """

    points: ClassVar[Sequence[str]] = POINTS
    calls: ClassVar[int] = 12
    """The highest number of a call at which a process is killed."""
    sets: ClassVar[dict[str, object]] = {}

    def __init__(self, home: Path, common: Path) -> None:
        self.home, self.common = home, common
        home.mkdir(parents=True)

    @classmethod
    def prepare(cls, common: Path, cmr: Cmr) -> None:
        """Create the data that all work of this kind reads."""
        del cmr
        common.mkdir(parents=True)

    @abstractmethod
    def commands(self) -> list[list[object]]:
        """Return the commands in order."""

    def environment(self) -> dict[str, str]:
        """Return the environment variables of the commands."""
        return {}

    @abstractmethod
    def check(self) -> None:
        """Check the state after a kill."""

    @abstractmethod
    def result(self) -> Any:
        """Return the result, which must not depend on the number of kills."""

    def left(self) -> list[str]:
        """Return the files that a finished command should not have left behind."""
        return sorted(
            str(path.relative_to(self.home))
            for path in self.home.rglob("*")
            if path.name.endswith(".tmp") or path.name.startswith(".writer")
        )


def run(work: Work, cmr: Cmr, kills: int, chance: random.Random) -> int:
    """Run the work with at most this many kills, and return the number of kills."""
    done = 0
    for command in work.commands():
        share = 0 if not kills else -(-kills // len(work.commands()))
        for _ in range(TRIES if share else 0):
            if share == 0 or done == kills:
                break
            point = chance.choice(work.points)
            cut = Cut(point, nth=_early(chance, work.calls), after=chance.random() < 0.5)
            ended = cmr(*command, cut=cut, sets=work.sets, **work.environment())
            assert ended.code in (0, -9), (command, cut, ended.err)
            work.check()
            if ended.code == 0:
                break
            done, share = done + 1, share - 1
        ended = cmr(*command, sets=work.sets, **work.environment())
        assert ended.code == 0, (command, ended.err)
        work.check()
    return done


def _early(chance: random.Random, most: int) -> int:
    """Draw the number of a call; low numbers are more likely, as many points are rarely reached."""
    return min(chance.randint(1, most), chance.randint(1, most))


class Indexing(Work):
    """Run `cmr index` in batches of two pictures, and again after a picture was changed."""

    sets: ClassVar[dict[str, object]] = {"cmr_hub.gallery.indexing.index:_COMMIT_ROWS": 2}
    count = 8

    def __init__(self, home: Path, common: Path) -> None:
        super().__init__(home, common)
        for number in range(self.count):
            picture(home / "pictures" / f"{number}.png", number)

    def commands(self) -> list[list[object]]:
        return [["index", self.home / "pictures", "--out", self.home / "g", "--model", "sketch"]]

    def check(self) -> None:
        if not holds_gallery(self.home / "g"):
            return
        opened = Gallery.open(self.home / "g")
        opened.store.verify()
        paths = opened.items["path"].to_pylist()
        assert len(set(paths)) == len(paths)

    def result(self) -> Any:
        opened = Gallery.open(self.home / "g")
        rows = zip(opened.items["path"].to_pylist(), opened.vectors("image").tolist(), strict=True)
        return sorted((Path(path).name, vector) for path, vector in rows)


class Changes(Indexing):
    """Remove rows from a gallery and compact it."""

    @classmethod
    def prepare(cls, common: Path, cmr: Cmr) -> None:
        made = Indexing(common / "made", common)
        run(made, cmr, 0, random.Random(0))

    def __init__(self, home: Path, common: Path) -> None:
        Work.__init__(self, home, common)
        shutil.copytree(common / "made" / "g", home / "g")
        self.ids = Gallery.open(home / "g").items["id"].to_pylist()

    def commands(self) -> list[list[object]]:
        gallery = self.home / "g"
        return [
            ["gallery", "remove", gallery, self.ids[0]],
            ["gallery", "remove", gallery, "--where", f"id = '{self.ids[3]}'"],
            ["gallery", "compact", gallery],
            ["gallery", "remove", gallery, self.ids[5], self.ids[6]],
            ["gallery", "compact", gallery],
        ]

    def check(self) -> None:
        super().check()
        there = set(Gallery.open(self.home / "g").items["id"].to_pylist())
        allowed = [set(self.ids)]
        for gone in (self.ids[:1], self.ids[3:4], self.ids[5:7]):
            allowed.append(allowed[-1] - set(gone))
        assert there in allowed


class Training(Work):
    """Run `cmr train` on features, with a checkpoint after every epoch."""

    calls: ClassVar[int] = 30
    sets: ClassVar[dict[str, object]] = {"cmr_hub.training.trainer:_CHECKPOINT_SECONDS": 0.0}

    @classmethod
    def prepare(cls, common: Path, cmr: Cmr) -> None:
        write_wikipedia(common / "wikipedia")

    def commands(self) -> list[list[object]]:
        return [
            [
                *("train", "wikipedia-features", "--root", self.common / "wikipedia"),
                *("--epochs", 3, "--out", self.home / "model"),
                *("--results", self.home / "runs.jsonl"),
            ]
        ]

    def check(self) -> None:
        if (self.home / "runs.jsonl").exists():
            assert read_runs(self.home / "runs.jsonl")[1] == []
        if (self.home / "model").exists():
            cmr_hub.load(self.home / "model")

    def result(self) -> Any:
        records, _ = read_runs(self.home / "runs.jsonl")
        found = {}
        for record in records:  # repeating a finished command starts another training
            found[record.run] = {
                name: value
                for name, value in record.to_dict().items()
                if name not in ("run", "finished", "seconds")
            }
        (same,) = {json.dumps(one, sort_keys=True) for one in found.values()}
        return cmr_hub.load(self.home / "model").fingerprint, same


class Ablation(Training):
    """Run `cmr ablate` with four cells."""

    calls: ClassVar[int] = 4
    points: ClassVar[Sequence[str]] = (
        *("cmr_hub.experiments.ablate:append_run", "cmr_hub.experiments.results:_append"),
        *("cmr_hub.atomic:sync", "os:fsync", "pathlib:Path.replace", "pathlib:Path.unlink"),
    )

    def commands(self) -> list[list[object]]:
        (self.home / "grid.toml").write_text(GRID)
        return [["ablate", self.home / "grid.toml", "--results", self.home / "r", "--workers", 1]]

    def environment(self) -> dict[str, str]:
        return {"CMR_DATA_HOME": str(self.common)}

    def check(self) -> None:
        if (self.home / "r" / "runs.jsonl").exists():
            assert read_runs(self.home / "r" / "runs.jsonl")[1] == []

    def result(self) -> Any:
        records, _ = read_runs(self.home / "r" / "runs.jsonl")
        return sorted((record.cell, record.map_avg) for record in records)


class Publishing(Work):
    """Run `cmr publish` to replace a model on the test Hub."""

    calls: ClassVar[int] = 2  # most points are reached only once
    points: ClassVar[Sequence[str]] = (
        *(
            "huggingface_hub.hf_api:HfApi.preupload_lfs_files",
            "cmr_hub.models.upload:Upload._commit",
        ),
        *("cmr_hub.hub.publish:model_upload", "cmr_hub.models.upload:Upload.changes"),
        *("huggingface_hub.hf_api:HfApi.create_commit", "pathlib:Path.read_bytes"),
    )
    name = "user/model"

    @classmethod
    def prepare(cls, common: Path, cmr: Cmr) -> None:
        Training.prepare(common, cmr)
        for seed in (0, 1):
            ended = cmr(
                *("train", "wikipedia-features", "--root", common / "wikipedia"),
                *("--epochs", 1, "--seed", seed, "--out", common / f"{seed}"),
                *("--results", common / "runs.jsonl"),
            )
            assert ended.code == 0, ended.err

    def __init__(self, home: Path, common: Path) -> None:
        super().__init__(home, common)
        self.server = HubServer()
        self.before = self.server.put(self.name, common / "0")

    def commands(self) -> list[list[object]]:
        return [["publish", self.common / "1", "--repo", self.name, "--yes"]]

    def environment(self) -> dict[str, str]:
        return {
            "HF_ENDPOINT": self.server.url,
            "HF_HOME": str(self.home / "hf"),
            "HF_TOKEN": TOKEN,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        }

    @property
    def _sent(self) -> dict[str, bytes]:
        return self.server.repositories["model", self.name].files()

    def check(self) -> None:
        """Check that the Hub has the old or the new model, because a commit is atomic."""
        sent = self._sent["model.safetensors"]
        whole = [(self.common / seed / "model.safetensors").read_bytes() for seed in ("0", "1")]
        assert sent in whole
        at = whole.index(sent)
        assert self._sent["config.json"] == (self.common / f"{at}" / "config.json").read_bytes()

    def result(self) -> Any:
        return {name: data for name, data in self._sent.items() if not name.startswith(".")}


class Features(Work):
    """Run `cmr train` on pictures whose features are cached."""

    calls: ClassVar[int] = 20
    points: ClassVar[Sequence[str]] = (
        *POINTS,
        "cmr_hub.encoders.feature_cache:FeatureCache._open",
        "cmr_hub.encoders.images.base:ImageEncoder.encode",
    )

    @classmethod
    def prepare(cls, common: Path, cmr: Cmr) -> None:
        write_colours(common / "colours")

    def commands(self) -> list[list[object]]:
        return [
            [
                *("train", "folder", "--root", self.common / "colours", "--epochs", 2),
                *("--image-encoder", "compact", "--text-encoder", "bow"),
                *("--image-weights", release_directory("sketch") / "image_encoder.safetensors"),
                *("--out", self.home / "model", "--results", self.home / "runs.jsonl"),
                *("--cache", self.home / "cache"),
            ]
        ]

    def check(self) -> None:
        for file in (self.home / "cache").glob("*.sqlite*"):
            if file.suffix in (".sqlite", ".sqlite3"):
                with sqlite3.connect(file) as connection:
                    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if (self.home / "model").exists():
            cmr_hub.load(self.home / "model")

    def result(self) -> Any:
        return cmr_hub.load(self.home / "model").fingerprint


KINDS: dict[str, type[Work]] = {
    "index": Indexing,
    "gallery changes": Changes,
    "training": Training,
    "ablate": Ablation,
    "publish": Publishing,
    "feature cache": Features,
}


def write_colours(base: Path) -> None:
    """Write small pictures of three colours with captions."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 4)):
        (base / split).mkdir(parents=True)
        lines = []
        for label, colour in {"flame": (220, 40, 30), "sea": (30, 60, 210)}.items():
            for number in range(count):
                pixels = (np.array(colour) + generator.normal(0, 12, (30, 40, 3))).clip(0, 255)
                name = f"{label}{number}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(base / split / name)
                lines.append(
                    json.dumps({"file_name": name, "captions": [f"a {label}"], "label": label})
                )
        (base / split / "metadata.jsonl").write_text("\n".join(lines))
