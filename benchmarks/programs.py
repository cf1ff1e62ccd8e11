"""Time of the commands `cmr index` and `cmr search`, compared with rclip and clip-retrieval.

All of them use the same CLIP of the size of ViT-B/32 at 256 pixels, the size of rclip's own model,
with random weights, and index the same folder of JPEG files. rclip runs in a separate environment
(`elsewhere.py`) with the network in its download folder, as ONNX files from PyTorch's exporter;
ours runs its own exports with `--backend onnx`. Networks are exported before the timing starts.
clip-retrieval only computes the vectors, as it searches through a server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from elsewhere import HOME, python, version
from encoders import ClipPictures, clip, exported
from gallery import KEPT
from indexing import pictures
from rows import Rival, Row, measure, rounded, seconds

from cmr_hub.encoders import torchvision_ops
from cmr_hub.encoders.pretrained.files import PretrainedFiles

INDEXED, SEARCHED = 150, 150
QUERY = "two red buses on a street"
CMR = [sys.executable, "-c", "from cmr_hub.cli import main; main()"]
RCLIP_MODEL = "ViT-B-32-256-datacomp_s34b_b86k"
BATCHES = (1, 8, 32)
CLIP_RETRIEVAL = f"""
exec(open({torchvision_ops.__file__!r}).read())
ensure_torchvision()
from clip_retrieval.cli import main
main()
"""
"""Its command, which also works if torch has no CUDA but torchvision has."""

Command = Callable[[], object]


class ClipTexts(torch.nn.Module):
    """The text side of a CLIP, from tokens to a vector."""

    def __init__(self, files: PretrainedFiles) -> None:
        super().__init__()
        from transformers import CLIPTextModelWithProjection

        self.side = CLIPTextModelWithProjection.from_pretrained(files.directory)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.side(tokens).text_embeds
        return found


def started(command: list[object], folder: Path, **environment: str) -> str:
    """Return the output of a command. Raises RuntimeError with its error output if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout


def data_of_rclip() -> Path:
    """Return rclip's folder of networks, with ours in it."""
    from open_clip.tokenizer import default_bpe

    data, files = KEPT / "rclip", clip()
    (data / RCLIP_MODEL).mkdir(parents=True, exist_ok=True)
    (data / "tokenizer").mkdir(exist_ok=True)
    shutil.copy(default_bpe(), data / "tokenizer" / "bpe_simple_vocab_16e6.txt.gz")
    sides = {
        "visual": (ClipPictures, torch.zeros(2, 3, 256, 256)),
        "textual": (ClipTexts, torch.full((2, 77), 49407)),
    }
    for name, (side, example) in sides.items():
        file = data / RCLIP_MODEL / f"{name}.onnx"
        if not file.exists():
            shutil.copy(exported(side(files).eval(), example, f"rclip-{name}", "input"), file)
    return data


@contextmanager
def folder(count: int) -> Iterator[tuple[Path, Path, list[object]]]:
    """Create a folder with pictures in `p`; return the pictures and our command to index them."""
    with pictures(count) as home:
        model = ["--model", clip().directory, "--backend", "onnx", "--device", "cpu"]
        command = [*CMR, "index", home / "p", "--out", home / "g", *model]
        started(command, home)  # exports the networks, the first time
        yield home, home / "p", command


def best_batch(commands: dict[int, Command], prepare: Command) -> tuple[int, dict[str, float]]:
    """Run each command once."""
    taken = {}
    for size, command in commands.items():
        prepare()
        taken[size] = seconds(command)
    tried = {f"batch {size}": rounded(took) for size, took in taken.items()}
    return min(taken, key=taken.__getitem__), tried


def index() -> Row:
    """Measure indexing a folder into a new gallery, from start to end of the command."""
    with folder(INDEXED) as (home, shown, command), tempfile.TemporaryDirectory() as other:
        places = {"g": home / "g", "out": Path(other, "out"), "data": Path(other, "data")}

        def remove(name: str) -> None:
            shutil.rmtree(places[name], ignore_errors=True)

        rivals = {
            "ours": Rival(
                lambda: started(command, home),
                "cmr index --backend onnx",
                against=None,
                prepare=partial(remove, "g"),
            )
        }
        if python("rclip").exists():
            shutil.copytree(data_of_rclip(), places["data"])
            program = [HOME / "rclip" / "bin" / "rclip", QUERY, "--indexing-batch-size"]

            def by_rclip(size: int) -> None:
                started([*program, size], shown, RCLIP_DATADIR=str(places["data"]))

            def forget() -> None:
                (places["data"] / "db.sqlite3").unlink(missing_ok=True)

            commands = {size: partial(by_rclip, size) for size in BATCHES}
            size, tried = best_batch(commands, forget)
            rivals["rclip"] = Rival(
                commands[size],
                f"rclip --indexing-batch-size {size}, with its first search",
                prepare=forget,
                tried=tried,
                facts={"version": version("rclip", "rclip")},
            )
        if python("clip-retrieval").exists():
            program = [python("clip-retrieval"), "-c", CLIP_RETRIEVAL, "inference"]
            program += ["--input_dataset", shown, "--output_folder", places["out"]]
            program += ["--enable_text", "False", "--clip_model", f"hf_clip:{clip().directory}"]
            program += ["--num_prepro_workers", os.cpu_count(), "--batch_size"]

            def by_clip_retrieval(size: int) -> None:
                started([*program, size], home)

            commands = {size: partial(by_clip_retrieval, size) for size in BATCHES[1:]}
            size, tried = best_batch(commands, partial(remove, "out"))
            rivals["clip-retrieval"] = Rival(
                commands[size],
                f"clip-retrieval inference --batch_size {size}, no index built",
                prepare=partial(remove, "out"),
                tried=tried,
                facts={"version": version("clip-retrieval", "clip-retrieval")},
            )
        task = f"indexing {INDEXED} pictures with CLIP, from the shell"
        return measure(task, rivals, warm=False)


def search() -> Row:
    """Measure a search in an indexed folder, from start to end of the command."""
    with folder(SEARCHED) as (home, shown, _):
        command = [*CMR, "search", home / "g", QUERY, "--backend", "onnx", "--device", "cpu"]
        rivals = {
            "ours": Rival(
                lambda: started(command, home),
                "cmr search --backend onnx",
                against=None,
            )
        }
        if python("rclip").exists():
            data = home / "data"
            shutil.copytree(data_of_rclip(), data)
            program = [HOME / "rclip" / "bin" / "rclip", QUERY]
            started(program, shown, RCLIP_DATADIR=str(data))
            rivals["rclip"] = Rival(
                lambda: started([*program, "-n"], shown, RCLIP_DATADIR=str(data)),
                "rclip --no-indexing",
                facts={"version": version("rclip", "rclip")},
            )
        task = f"one search among {SEARCHED} pictures with CLIP, from the shell"
        return measure(task, rivals)
