import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from cmr_hub import atomic
from cmr_hub.atomic import atomic_directory, atomic_file


class Stop(BaseException):
    """Not an Exception, as a KeyboardInterrupt is not."""


def write_half_a_file(target, error):
    with atomic_file(target) as temporary:
        temporary.write_text("half")
        raise error("stop")


def write_half_a_directory(target, error):
    with atomic_directory(target) as fresh:
        (fresh / "half").write_text("half")
        raise error("stop")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o077], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_file_is_written_and_replaced(tmp_path):
    target = tmp_path / "deep" / "er" / "file.txt"
    for text in ("old", "new"):
        with atomic_file(target) as temporary:
            temporary.write_text(text)
            assert temporary.parent == target.parent
            assert not target.exists() or target.read_text() == "old"
        assert target.read_text() == text
    assert names(target.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, Stop])
def test_file_survives_an_error(tmp_path, error):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(error, match="stop"):
        write_half_a_file(target, error)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_first_file_leaves_nothing_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="stop"):
        write_half_a_file(tmp_path / "file.txt", ValueError)
    assert names(tmp_path) == []


def test_file_has_ordinary_permissions(tmp_path, umask):
    target = tmp_path / "file.txt"
    with atomic_file(target) as temporary:
        temporary.write_text("x")
    assert mode(target) == 0o666 & ~umask


def test_file_behind_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / "file.txt", tmp_path / "link.txt"
    real.write_text("old")
    link.symlink_to(real)
    with atomic_file(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError), atomic_file(tmp_path / "taken") as temporary:
        temporary.write_text("x")
    assert names(tmp_path) == ["taken"]
    assert names(tmp_path / "taken") == ["inside"]


def test_directory_is_written_and_replaced(tmp_path):
    target = tmp_path / "deep" / "model"
    for name in ("old", "new"):
        with atomic_directory(target) as fresh:
            assert names(fresh) == []
            (fresh / name).write_text(name)
            (fresh / "sub").mkdir()
            (fresh / "sub" / name).write_text(name)
        assert names(target) == sorted([name, "sub"])
        assert names(target / "sub") == [name]
    assert names(target.parent) == ["model"]


@pytest.mark.parametrize("error", [ValueError, Stop])
@pytest.mark.parametrize("existed", [True, False])
def test_directory_survives_an_error(tmp_path, error, existed):
    target = tmp_path / "model"
    if existed:
        target.mkdir()
        (target / "old").write_text("old")
    with pytest.raises(error, match="stop"):
        write_half_a_directory(target, error)
    assert names(tmp_path) == (["model"] if existed else [])
    if existed:
        assert (target / "old").read_text() == "old"


def test_directory_comes_back_when_the_last_step_fails(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")
    # The old one is moved aside by then, and the new one cannot take its place.
    with pytest.raises(FileNotFoundError), atomic_directory(target) as fresh:
        fresh.rename(fresh.with_name("gone"))
    assert names(tmp_path) == ["model"]
    assert names(target) == ["old"]


def test_directory_has_ordinary_permissions(tmp_path, umask):
    target = tmp_path / "model"
    with atomic_directory(target) as fresh:
        (fresh / "file").write_text("x")
    assert mode(target) == 0o777 & ~umask
    assert mode(target / "file") == 0o666 & ~umask


def test_current_directory(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with atomic_directory(".") as fresh:
        (fresh / "new").write_text("new")
    assert names(tmp_path / "here") == ["new"]


def test_directory_behind_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with atomic_directory(tmp_path / "link") as fresh:
        (fresh / "new").write_text("new")
    assert names(tmp_path) == ["link", "real"]
    assert names(tmp_path / "real") == ["new"]


WRITER = """
import itertools, sys
from cmr_hub.atomic import atomic_directory
for version in itertools.count(1):
    with atomic_directory(sys.argv[1]) as fresh:
        for name in "abc":
            (fresh / name).write_text(str(version) * 1000)
    print(version, flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.023, 0.04])
def test_kill_leaves_the_old_or_the_new(tmp_path, delay):
    target = tmp_path / "model"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "1\n"
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    if not target.exists():  # killed between the two renames
        (target,) = tmp_path.glob(".model.*.tmp/old")
    contents = {(target / name).read_text() for name in "abc"}
    assert len(contents) == 1
    assert len(contents.pop()) >= 1000


def test_what_a_killed_process_has_left_goes(tmp_path):
    """But not what another one is writing now, nor what only looks like it."""
    left = tmp_path / ".a.json.0123456789abcdef.tmp"
    left.write_text("half")
    others = [tmp_path / ".b.json.0123.tmp", tmp_path / ".a.json.more.x.tmp"]
    for other in others:
        other.write_text("mine")
    with atomic_file(tmp_path / "a.json") as first, atomic_file(tmp_path / "a.json") as second:
        assert not left.exists()
        assert first.exists()
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "a.json").read_text() == "1"
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.json", *others])


def test_what_was_moved_aside_comes_back(tmp_path):
    old = tmp_path / ".model.abc_1234.tmp" / "old"
    old.mkdir(parents=True)
    (old / "x").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "model"):
        raise ZeroDivisionError
    assert (tmp_path / "model" / "x").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


KILLED = """
import os, signal, sys
from cmr_hub.atomic import atomic_directory, atomic_file
with atomic_directory(sys.argv[1] + "/model"), atomic_file(sys.argv[1] + "/a.json") as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    sys.stdin.readline()
"""


def test_a_process_is_at_work_until_it_ends_however_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_PAUSE", 0.0)
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout.readline() == "ready\n"
    atomic._clean_up(tmp_path)
    left = names(tmp_path)
    assert len(left) == 4  # each with its lock
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert names(tmp_path) == left
    atomic._clean_up(tmp_path)
    assert names(tmp_path) == []
