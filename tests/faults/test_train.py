"""Training that is killed, interrupted, out of disk space, or run twice at the same time."""

from __future__ import annotations

import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from cmr_process import STOPPED, Cmr, Cut

import cmr_hub
from cmr_hub.experiments.results import read_runs
from cmr_hub.experiments.run_record import RunRecord

pytestmark = pytest.mark.faults

CHECKPOINTS = {"cmr_hub.training.trainer:_CHECKPOINT_SECONDS": 0.0}


def command(root: Path, home: Path, *more: object) -> list[object]:
    """Return a short training: early stopping chooses the epochs, then all pairs are used."""
    return [
        *("train", "wikipedia-features", "--root", root / "wikipedia", "--epochs", 3),
        *("--out", home / "model", "--results", home / "runs.jsonl", *more),
    ]


def records(home: Path) -> list[RunRecord]:
    found, problems = read_runs(home / "runs.jsonl")
    assert problems == []
    return found


def result(home: Path) -> tuple[str, dict[str, Any]]:
    """Return the model's fingerprint and its record, without the values that vary between runs."""
    (record,) = records(home)
    model = cmr_hub.load(home / "model")
    assert sorted(path.name for path in home.iterdir()) == ["model", "runs.jsonl"]
    assert model.training["map_avg"] == record.map_avg
    another = ("run", "finished", "seconds")
    return model.fingerprint, {k: v for k, v in record.to_dict().items() if k not in another}


@pytest.fixture(scope="session")
def undisturbed(
    cmr: Cmr, wikipedia: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any]]:
    home = tmp_path_factory.mktemp("undisturbed")
    ended = cmr(*command(wikipedia, home))
    assert ended.code == 0, ended.err
    return result(home)


@pytest.mark.parametrize(
    "cut",
    [
        Cut("cmr_hub.training.trainer:write_checkpoint", after=True),
        Cut("cmr_hub.training.checkpoint:save", nth=4),
        Cut("pathlib:Path.rename", of="/new "),
        Cut("cmr_hub.experiments.results:append_run"),
        Cut("cmr_hub.experiments.results:append_run", after=True),
        Cut("pathlib:Path.unlink", of="/final.safetensors"),
        Cut("pathlib:Path.unlink", of="/select.safetensors"),
    ],
    ids=[
        *("after a checkpoint", "in a checkpoint", "in saving", "before the record"),
        *("after the record", "before clearing up", "in clearing up"),
    ],
)
def test_killed_and_given_again(
    cmr: Cmr, wikipedia: Path, tmp_path: Path, undisturbed: object, cut: Cut
) -> None:
    killed = cmr(*command(wikipedia, tmp_path), cut=cut, sets=CHECKPOINTS)
    assert killed.code == -9
    again = cmr(*command(wikipedia, tmp_path))
    assert again.code == 0, again.err
    for left in tmp_path.glob(".model.*.tmp"):  # the temporary directory of an unfinished model
        assert left.is_dir()
        for file in sorted(left.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        left.rmdir()
    assert result(tmp_path) == undisturbed


def test_the_same_training_twice_is_two_records(cmr: Cmr, wikipedia: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert cmr(*command(wikipedia, tmp_path)).code == 0
    first, second = records(tmp_path)
    assert first.run != second.run
    assert first.map_avg == second.map_avg


def test_stopped_by_the_user(
    cmr: Cmr, wikipedia: Path, tmp_path: Path, undisturbed: object
) -> None:
    cut = Cut("cmr_hub.training.trainer:write_checkpoint", "stop", nth=2, after=True)
    ended = cmr(*command(wikipedia, tmp_path), cut=cut, sets=CHECKPOINTS)
    assert ended.code == 130
    assert ended.err.endswith(STOPPED)
    (kept,) = (tmp_path / "model.checkpoints").iterdir()
    assert kept.name == "select.safetensors"
    assert cmr(*command(wikipedia, tmp_path)).code == 0
    assert result(tmp_path) == undisturbed


def test_stopped_before_there_is_anything_to_keep(
    cmr: Cmr, wikipedia: Path, tmp_path: Path
) -> None:
    cut = Cut("cmr_hub.experiments.learning:train_projectors", "stop")
    assert cmr(*command(wikipedia, tmp_path), cut=cut).code == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("at", "named"),
    [
        ("cmr_hub.training.trainer:write_checkpoint", "model.checkpoints/select.safetensors"),
        ("cmr_hub.models.cross_modal:refuse_foreign_directory", "model"),
        ("cmr_hub.experiments.results:append_run", "runs.jsonl"),
    ],
)
def test_a_full_disk(
    cmr: Cmr, wikipedia: Path, disk: Any, undisturbed: object, at: str, named: str
) -> None:
    home = disk.path / "home"
    ended = cmr(*command(wikipedia, home), cut=disk.full_at(at), sets=CHECKPOINTS)
    assert ended.error.startswith(f"error: cannot write {home / named}: ")
    assert "free some space and run the command again" in ended.error
    assert not list(home.rglob("*.tmp"))
    disk.make_room()
    again = cmr(*command(wikipedia, home))
    assert again.code == 0, again.err
    assert result(home) == undisturbed


def test_a_full_disk_leaves_the_older_model(cmr: Cmr, wikipedia: Path, disk: Any) -> None:
    home = disk.path / "home"
    assert cmr(*command(wikipedia, home)).code == 0
    before = cmr_hub.load(home / "model").fingerprint
    cut = disk.full_at("cmr_hub.models.cross_modal:atomic_directory")
    again = command(wikipedia, home, "--seed", 1)
    assert "cannot write" in cmr(*again, cut=cut).error
    assert cmr_hub.load(home / "model").fingerprint == before
    disk.make_room()
    assert cmr(*again).code == 0
    assert cmr_hub.load(home / "model").fingerprint != before
    assert [record.seed for record in records(home)] == [0, 1]


def test_where_nothing_can_be_written(cmr: Cmr, wikipedia: Path, read_only: Path) -> None:
    ended = cmr(*command(wikipedia, read_only))
    assert f"cannot write {read_only}" in ended.error
    assert "choose a writable location" in ended.error


def test_two_at_once(cmr: Cmr, wikipedia: Path, tmp_path: Path, undisturbed: object) -> None:
    waiting = tmp_path.parent / f"{tmp_path.name}.waiting"
    cut = Cut("cmr_hub.training.trainer:write_checkpoint", "wait", path=str(waiting))
    first = cmr.start(*command(wikipedia, tmp_path), cut=cut, sets=CHECKPOINTS)
    while not waiting.exists():
        time.sleep(0.01)
    second = cmr(*command(wikipedia, tmp_path))
    assert f"process {first.pid} on " in second.error
    assert "give another --out" in second.error
    waiting.unlink()
    assert first.wait().code == 0
    assert result(tmp_path) == undisturbed


def pictures(folder: Path, weights: Path, home: Path) -> list[object]:
    return [
        *("train", "folder", "--root", folder, "--image-weights", weights, "--epochs", 2),
        *("--out", home / "model", "--results", home / "runs.jsonl", "--cache", home / "cache"),
    ]


def test_killed_while_features_are_cached(
    cmr: Cmr, colour_folder: Path, mobilenet_file: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert cmr(*pictures(colour_folder, mobilenet_file, one)).code == 0
    cut = Cut("cmr_hub.encoders.feature_cache:FeatureCache._write", nth=3)
    chunks = {"cmr_hub.encoders.feature_cache:_CHUNK": 5}
    assert cmr(*pictures(colour_folder, mobilenet_file, other), cut=cut, sets=chunks).code == -9
    (file,) = (other / "cache").glob("*.sqlite")

    def kept() -> dict[bytes, bytes]:
        with sqlite3.connect(file) as connection:
            found = dict(connection.execute("SELECT key, row FROM features"))
        connection.close()
        return found

    before = kept()
    assert len(before) == 10
    assert cmr(*pictures(colour_folder, mobilenet_file, other)).code == 0
    after = kept()
    assert len(after) == 36
    assert before.items() <= after.items()
    first, second = (cmr_hub.load(home / "model") for home in (one, other))
    assert first.fingerprint == second.fingerprint


def test_features_are_not_cached_where_there_is_no_room(
    cmr: Cmr, colour_folder: Path, mobilenet_file: Path, tmp_path: Path, disk: Any
) -> None:
    """Training continues without a cache and prints one warning."""
    arguments = [*pictures(colour_folder, mobilenet_file, tmp_path), "--cache", disk.path / "cache"]
    cut = disk.full_at("cmr_hub.encoders.feature_cache:FeatureCache._read")
    chunks = {"cmr_hub.encoders.feature_cache:_CHUNK": 5}
    if not disk.is_mounted:
        pytest.skip("needs a small disk: the model could not be saved either")
    ended = cmr(*arguments, cut=cut, sets=chunks)
    assert ended.code == 0, ended.err
    assert ended.err.count("features were computed but not cached") == 1
    assert str(disk.path / "cache") in "".join(ended.err.split())  # lines may be wrapped anywhere
    disk.make_room()
    assert "not cached" not in cmr(*arguments).err
    assert len(records(tmp_path)) == 2


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_wrong_weights_are_noticed_before_any_work(
    cmr: Cmr, tmp_path: Path, content: bytes | None
) -> None:
    weights = tmp_path / "weights.safetensors"
    if content is not None:
        weights.write_bytes(content)
    # The missing data would be the next error.
    line = cmr(*pictures(tmp_path / "absent", weights, tmp_path)).error
    assert str(weights) in line
    assert not (tmp_path / "model.checkpoints").exists()


@pytest.mark.parametrize("wrong", [["--text-encoder", "nonsense"], ["--text-option", "topics=2"]])
def test_a_wrong_text_encoder_is_noticed_before_any_work(
    cmr: Cmr, tmp_path: Path, wrong: list[str]
) -> None:
    # Neither the data nor the weights exist.
    line = cmr("train", "folder", "--root", tmp_path / "absent", "--out", tmp_path / "m", *wrong)
    assert wrong[1].partition("=")[0] in line.error
    assert not list(tmp_path.iterdir())


def test_checkpoints_are_as_readable_as_other_files(
    cmr: Cmr, wikipedia: Path, tmp_path: Path
) -> None:
    cut = Cut("cmr_hub.training.trainer:write_checkpoint", after=True)
    cmr(*command(wikipedia, tmp_path), cut=cut, sets=CHECKPOINTS)
    (tmp_path / "as usual").touch()
    file = tmp_path / "model.checkpoints" / "select.safetensors"
    usual = (tmp_path / "as usual").stat().st_mode
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(usual)
