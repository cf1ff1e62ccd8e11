from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from cmr_hub.projections.background import Background, progress_file, work
from cmr_hub.projections.jobs import MapInput, MapJobs, MapState, _read_map
from cmr_hub.projections.methods import ProjectionOptions, project_stages


def until(state: Callable[[], Any], is_done: Callable[[Any], bool], seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while not is_done(found := state()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.fixture
def jobs(tmp_path):
    started = MapJobs(tmp_path)
    yield started
    started.background.stop_all()


GIVEN = MapInput([np.random.default_rng(seed).normal(size=(40, 5)) for seed in (0, 1)])
TSNE = ProjectionOptions(method="tsne", perplexity=5)


def test_a_map_is_computed_aside_and_kept(jobs, tmp_path) -> None:
    assert jobs.state(GIVEN, TSNE) == MapState()
    done = until(lambda: jobs.state(GIVEN, TSNE), lambda s: s.maps is not None or s.problem)
    assert done.problem == ""
    expected = project_stages(GIVEN.stages, TSNE)
    for found, wanted in zip(done.maps, expected, strict=True):
        assert found == pytest.approx(wanted, abs=1e-4)
    fresh = MapJobs(tmp_path).state(GIVEN, TSNE)
    assert fresh.maps is not None  # at once, from the disk
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors"}


def test_a_damaged_map_is_computed_again(jobs, tmp_path) -> None:
    (tmp_path / f"{jobs.key(GIVEN, TSNE)}.safetensors").write_bytes(b"half")
    assert jobs.state(GIVEN, TSNE).maps is None
    done = until(lambda: jobs.state(GIVEN, TSNE), lambda s: s.maps is not None or s.problem)
    assert done.maps is not None


def test_a_map_that_cannot_be_is_told(jobs) -> None:
    few = MapInput([np.eye(6)])
    done = until(lambda: jobs.state(few, TSNE), lambda s: s.maps is not None or s.problem)
    assert "6 points are too few for tsne" in done.problem


def test_keys_tell_rows_and_options_apart(jobs) -> None:
    other = MapInput([GIVEN.stages[0], GIVEN.stages[1] + 1])
    keys = {
        jobs.key(GIVEN, TSNE),
        jobs.key(other, TSNE),
        jobs.key(GIVEN, ProjectionOptions(method="umap")),
        jobs.key(MapInput(GIVEN.stages[:1]), TSNE),
    }
    assert len(keys) == 4


def test_stopping(tmp_path) -> None:
    background = Background(tmp_path)
    background.state("long", lambda: ["timeit", "-s", "import time", "time.sleep(60)"])
    assert background.state("long", list).is_running
    start = time.monotonic()
    background.stop("long")
    background.stop("long")
    assert time.monotonic() - start < 10


def test_a_process_that_breaks_is_told_of_once(tmp_path) -> None:
    background = Background(tmp_path)
    command = lambda: ["there_is_no_such_module"]  # noqa: E731
    background.state("broken", command)
    ended = until(lambda: background.state("broken", command), lambda s: not s.is_running)
    assert ended.problem.startswith("the background process stopped unexpectedly")
    assert background.state("broken", command).is_running  # tried again
    background.stop_all()


def test_work_tells_its_share_and_its_problem(tmp_path) -> None:
    from cmr_hub.errors import QueryError

    shares = []

    def do(tell) -> None:
        tell(0.5)
        shares.append(progress_file(tmp_path, "k").read_text())

    work(tmp_path, "k", do)
    assert shares == ["0.500"]
    assert not progress_file(tmp_path, "k").exists()

    def fail(_tell) -> None:
        raise QueryError("too few")

    with pytest.raises(SystemExit):
        work(tmp_path, "k", fail)
    assert progress_file(tmp_path, "k").read_text() == "too few"


@pytest.mark.parametrize(
    "maps",
    [
        [np.zeros((3, 2)), np.zeros((40, 2))],
        [np.zeros(40), np.zeros(40)],
        [np.full((40, 2), np.nan), np.zeros((40, 2))],
        [np.zeros((40, 2), np.int64), np.zeros((40, 2))],
    ],
    ids=["rows", "dimensions", "not finite", "whole numbers"],
)
def test_a_map_of_something_else_is_none(tmp_path, maps: list[np.ndarray]) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(save({f"{n:04}": rows for n, rows in enumerate(maps)}))
    assert _read_map(path, GIVEN) is None
