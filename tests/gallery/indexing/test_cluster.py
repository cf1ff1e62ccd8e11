"""The same run on a Ray cluster of two nodes, of which one is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pictures import picture

from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing import cluster
from cmr_hub.gallery.indexing.index import index_folder

ray = pytest.importorskip("ray", reason="needs pip install 'cmr-hub[cluster]'")


@pytest.fixture(scope="module")
def second_node() -> Iterator[object]:
    """One of two nodes of a cluster that this process is connected to."""
    from ray.cluster_utils import Cluster

    # One core each, and no monitors: every process takes seconds to start.
    node_args = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_log_monitor": False}
    # By default Ray's workers have the lowest priority, so that next to other tests they hardly
    # run at all, and a dead node is noticed after 15 seconds.
    settings = {"worker_niceness": 0, "health_check_period_ms": 500}
    both = Cluster(
        initialize_head=True,
        head_node_args={
            "include_dashboard": False, "no_monitor": True, "_system_config": settings, **node_args
        },
    )  # fmt: skip
    try:
        node = both.add_node(**node_args)
        ray.init(address=both.address, log_to_driver=False, logging_level="error")
        yield node
    finally:
        ray.shutdown()
        both.shutdown()


def kill(node: object) -> None:
    """All of its processes at once, as when the power fails."""
    for process in node.all_processes.values():
        os.kill(process[0].process.pid, signal.SIGKILL)


@pytest.mark.faults
def test_a_node_that_dies_costs_nothing(
    second_node, model, folder: Path, tmp_path, monkeypatch
) -> None:
    for i in range(60):
        picture(folder / f"more{i:03}.png", 1000 + i)
    (folder / "copy.png").write_bytes((folder / "more000.png").read_bytes())
    here = Gallery.create(tmp_path / "here", model)
    expected = index_folder(here, folder)
    monkeypatch.setattr(cluster, "_BLOCK", 4)
    encoded = cluster.EncodingOnRay.encoded
    killed_at: list[int] = []

    def with_a_kill(*arguments):
        for number, one in enumerate(encoded(*arguments)):
            if number == 20:
                assert sum(each["Alive"] for each in ray.nodes()) == 2
                kill(second_node)
                killed_at.append(number)
            yield one

    monkeypatch.setattr(cluster.EncodingOnRay, "encoded", with_a_kill)
    there = Gallery.create(tmp_path / "there", model)
    found = index_folder(there, folder, cluster="ray")
    assert killed_at == [20]
    assert found == expected
    assert found.added == 9 + 61
    there.store.verify()
    rows, others = (
        {row["path"]: row for row in gallery.items.to_pylist()} for gallery in (here, there)
    )
    # Of two copies either may be the first.
    same = [str(folder / name) for name in ("copy.png", "more000.png")]
    assert {others[path].pop("id") for path in same} == {rows[path].pop("id") for path in same}
    assert others == rows
    vectors = [
        dict(zip(gallery.items["path"].to_pylist(), gallery.vectors("image"), strict=True))
        for gallery in (here, there)
    ]
    for path, vector in vectors[0].items():
        np.testing.assert_allclose(vectors[1][path], vector, atol=1e-5)
    assert index_folder(there, folder, cluster="ray").unchanged == 70
