"""Peak memory of each task, compared with a peer.

    python -m benchmarks memory

Each side runs the task in a new process, including imports. The figure is the peak memory of the
process (`VmHWM`), or that of the process and its children, sampled every 20 ms. Memory-mapped files
count as far as they were read. Only Linux reports this.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rows import Row, rounded

TORCHVISION = (
    "from cmr_hub.encoders.torchvision_ops import ensure_torchvision; ensure_torchvision()"
)

PREPARE = f"""
import json, sys
import numpy as np
sys.path.insert(0, {str(Path(__file__).parent)!r})
import encoders, gallery, indexing, ranking, training
np.save("vectors.npy", gallery.draw(100_000, 0))
np.save("query.npy", gallery.draw(1, 3)[0])
open("gallery.txt", "w").write(str(gallery.gallery_of(100_000)))
json.dump(encoders.said(500), open("sentences.json", "w"))
data = training.features()
np.savez("features.npz", images=data.images, texts=data.texts, labels=data.labels)
np.savez("map.npz", *ranking.drawn(ranking.COUNT))
with indexing.pictures(1_000) as home:
    (home / "p").rename("pictures")
"""
"""Program that writes the tasks' input files, so that no task imports more than it needs."""

NETWORK = f"""
import torch
{TORCHVISION}
from torchvision.models import mobilenet_v2
torch.manual_seed(0)
network, side = mobilenet_v2().eval(), 257
"""
PATHS = """
import glob
paths = sorted(glob.glob("pictures/**/*.jpg", recursive=True))
"""
LOOP = f"""
{PATHS}
from PIL import Image
import numpy as np
def features(network, paths):
    with torch.no_grad():
        for start in range(0, len(paths), 32):
            opened = [Image.open(path).resize((side, side)) for path in paths[start : start + 32]]
            pixels = torch.from_numpy(np.stack([np.asarray(image) for image in opened]))
            yield network(pixels.permute(0, 3, 1, 2).float() / 255)
"""
SENTENCES = """
import json
sentences = json.load(open("sentences.json"))
"""
FEATURES = """
import numpy as np
features = np.load("features.npz")
images, texts, labels = (features[name] for name in ("images", "texts", "labels"))
"""
RANKED = """
import numpy as np
from ranking import {0}
{0}(*np.load("map.npz").values())
"""

TASKS: dict[str, dict[str, str]] = {
    "images": {
        "ours": f"""{NETWORK}{PATHS}
from cmr_hub.encoders.images.mobilenet_v2 import MobileNetV2Encoder
MobileNetV2Encoder(network.state_dict(), "file").encode(paths[:128])
""",
        "plain PyTorch loop": f"""{NETWORK}{LOOP}
torch.cat([rows.mean((2, 3)) for rows in features(network.features, paths[:128])])
""",
    },
    "texts": {
        "ours": f"""{SENTENCES}
from cmr_hub.encoders.texts.sentence import SentenceEncoder
SentenceEncoder().fit([]).transform([(text,) for text in sentences])
""",
        "sentence-transformers": f"""{SENTENCES}
from minilm import sentence_transformer
sentence_transformer().encode(sentences)
""",
    },
    "training": {
        "ours": f"""{FEATURES}
from training import PairedFeatures, ours
ours(PairedFeatures(images, texts, labels, 20))
""",
        "plain PyTorch loop": f"""{FEATURES}
import torch
from plain_training import plain_loop
plain_loop(*(torch.from_numpy(array) for array in (images, texts, labels)), 5)
""",
    },
    "search": {
        "ours": """
import numpy as np
from cmr_hub import Gallery
Gallery.open(open("gallery.txt").read()).search(np.load("query.npy"))
""",
        "FAISS": """
import faiss, numpy as np
index = faiss.IndexFlatIP(256)
index.add(np.load("vectors.npy"))
index.search(np.load("query.npy")[None], 10)
""",
        "sentence-transformers": f"""
import numpy as np, torch
{TORCHVISION}
from sentence_transformers.util import semantic_search
vectors, query = (torch.from_numpy(np.load(f"{{name}}.npy")) for name in ("vectors", "query"))
semantic_search(query[None], vectors, top_k=10)
""",
    },
    "mean-average-precision": {
        "ours": RANKED.format("mean_average_precision"),
        "PyTorch": RANKED.format("by_torch"),
        "scikit-learn": RANKED.format("by_scikit_learn"),
        "pytrec_eval": RANKED.format("by_pytrec_eval"),
        "torchmetrics": RANKED.format("by_torchmetrics"),
    },
}
HIGH_WATER = """
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def resident(group: int) -> float:
    """Return the total memory of a process group in MiB."""
    pages = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(told[2]) == group:
            pages += int(told[21])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak(program: str, folder: str) -> float:
    """Return the peak memory of a program in MiB."""
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", program + HIGH_WATER],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,  # of its own
    )
    together = 0.0
    while process.poll() is None:
        together = max(together, resident(process.pid))
        time.sleep(0.02)
    told, complaint = process.communicate()
    if process.returncode:
        raise RuntimeError(complaint)
    return max(together, int(told.split()[-1]) / 2**10)


def memory() -> Row:
    """Measure the memory of each task in MiB, ours and the peers'."""
    row: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", PREPARE], cwd=folder, check=True)
        for task, programs in TASKS.items():
            taken = {name: peak(program, folder) for name, program in programs.items()}
            row[task] = {
                name: {
                    "mebibytes": rounded(taken["ours"]),
                    "peer_mebibytes": rounded(mebibytes),
                    "peer_over_ours": rounded(mebibytes / taken["ours"]),
                }
                for name, mebibytes in taken.items()
                if name != "ours"
            }
            print(task, {name: rounded(value) for name, value in taken.items()}, flush=True)
    return {"tasks": row}
