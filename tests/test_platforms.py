"""Other platforms, simulated: Windows, a Mac, a container without a home, other consoles."""

from __future__ import annotations

import io
import json
import ntpath
import os
import subprocess
import sys
import tempfile
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from typer.main import get_command

import cmr_hub
from cmr_hub import atomic, cli, memory, paths
from cmr_hub.cache_home import default_cache_home
from cmr_hub.datasets.metadata import metadata_files, picture_annotations, walk
from cmr_hub.datasets.report import ReadReport
from cmr_hub.errors import ModelFormatError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing import exclude
from cmr_hub.gallery.indexing.index import index_folder
from cmr_hub.gallery.items import Item, checked_items, items_table, join_root, split_root
from cmr_hub.gallery.local import LocalStore
from cmr_hub.hit import Hit

pytestmark = pytest.mark.platforms

UNIX_ONLY = ("fcntl", "grp", "pwd", "resource", "termios")
PACKAGE = Path(cmr_hub.__file__).parent


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Three pictures, one of which has a name with an accent in two code points, as on a Mac."""
    folder = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(("dog.png", "sub/cat.png", normalize("NFD", "été/é.png"))):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="module")
def sketch() -> cmr_hub.CrossModalModel:
    return cmr_hub.load("sketch")


@pytest.fixture(scope="module")
def gallery(sketch, pictures, tmp_path_factory) -> Path:
    """A gallery of them."""
    directory = tmp_path_factory.mktemp("galleries") / "gallery"
    index_folder(Gallery.create(directory, sketch, model_name="sketch"), pictures, workers=1)
    return directory


@pytest.fixture
def windows(monkeypatch) -> None:
    """Paths are those of Windows."""
    monkeypatch.setattr(paths, "os", SimpleNamespace(path=ntpath, sep="\\", PathLike=os.PathLike))


# ---- paths


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (r"C:\Users\x\a.jpg", "C:/Users/x/a.jpg"),
        (r"C:\Users\x\..\y\.\a.jpg", "C:/Users/y/a.jpg"),
        (r"\\server\share\a b.jpg", "//server/share/a b.jpg"),
        ("d:/photos/é.jpg", "d:/photos/é.jpg"),
    ],
)
def test_windows_paths_are_kept_with_forward_slashes(windows, given: str, kept: str) -> None:
    assert paths.stored_path(PureWindowsPath(given)) == kept
    assert PureWindowsPath(kept) == PureWindowsPath(ntpath.normpath(given))
    assert paths.uri_of(kept) == PureWindowsPath(kept).as_uri()


@pytest.mark.parametrize(
    ("names", "root"),
    [
        (["C:/Users/a/1.jpg", "C:/Users/b/2.jpg", None], "C:/Users"),
        (["C:/1.jpg", "C:/b/2.jpg"], "C:/"),
        (["//nas/photos/a/1.jpg", "//nas/photos/b/2.jpg"], "//nas/photos"),
        (["//nas/photos/1.jpg", "//nas/other/2.jpg"], ""),
        (["//nas/photos/1.jpg", "//mac/photos/2.jpg"], ""),
        (["C:/a/1.jpg", "D:/a/1.jpg"], ""),
        (["/home/1.jpg", "C:/a/1.jpg"], ""),
        (["//nas/photos/1.jpg", "/home/1.jpg"], ""),
    ],
)
def test_windows_paths_in_a_gallery(tmp_path, names: list[str | None], root: str) -> None:
    table = _table(names)
    assert checked_items(table) == table
    found, relative = split_root(table)
    assert found == root
    assert relative.column("path").to_pylist() != names or not root
    assert join_root(relative, root) == table
    store = LocalStore.create(tmp_path / "g", "model")
    Gallery(store).add_vectors(table, image_embeddings=np.eye(len(names), 4, dtype=np.float32))
    assert LocalStore.open(tmp_path / "g").table().column("path").to_pylist() == names
    if root:
        moved = LocalStore.open(tmp_path / "g", root="/new").table().column("path").to_pylist()
        assert moved == [name and name.replace(root.rstrip("/"), "/new") for name in names]
    else:
        with pytest.raises(ModelFormatError, match="on several drives"):
            LocalStore.open(tmp_path / "g", root="/new")


@pytest.mark.parametrize(
    "path",
    ["C:a.jpg", "C:/a/../b.jpg", "//", "///a", "C:", "a:b/c", "/./a", "/..", "//./x", "//?/C:/x"],
)
def test_paths_that_are_absolute_nowhere(path: str) -> None:
    with pytest.raises(ModelFormatError, match="must be absolute"):
        checked_items(_table([path]))


@pytest.mark.parametrize("path", [r"..\..\secret.jpg", r"a\..\..\b.jpg", r"\\server\share\a.jpg"])
def test_a_backslash_does_not_lead_out_of_a_windows_folder(path: str) -> None:
    table = pa.table({"path": pa.array(["fine/a.jpg", path])})
    with pytest.raises(ModelFormatError, match="out of their root"):
        join_root(table, "C:/pictures")


def test_backslashes_in_a_gallery_of_windows_are_separators() -> None:
    table = pa.table({"path": pa.array([r"holiday\a.jpg"])})
    assert join_root(table, "C:/p").column("path").to_pylist() == ["C:/p/holiday/a.jpg"]
    # Elsewhere they are part of a name.
    assert join_root(table, "/p").column("path").to_pylist() == [r"/p/holiday\a.jpg"]


def test_hits_of_a_gallery_of_windows_are_shown_here(capsys, monkeypatch) -> None:
    hits = [
        Hit(1, "x", 0.5, r"C:/Users/x/ä b.jpg", (), None),
        Hit(2, "y", 0.4, "//n/s/1.jpg", (), None),
    ]
    from cmr_hub.cli.search import _linked

    links = [str(_linked(hit).style) for hit in hits]
    assert links == ["link file:///C:/Users/x/%C3%A4%20b.jpg", "link file://n/s/1.jpg"]


def test_one_folder_under_two_spellings(sketch, pictures, tmp_path, monkeypatch) -> None:
    """As on the disks of Windows and of a Mac, which ignore case and composition."""
    (tmp_path / "Été").mkdir()
    for path in pictures.glob("*.png"):
        (tmp_path / "Été" / path.name).write_bytes(path.read_bytes())
    other = normalize("NFD", "été")
    (tmp_path / other).symlink_to("Été")
    listed = os.listdir

    def listdir(folder: Path) -> list[str]:
        return [name for name in listed(folder) if name != other]

    monkeypatch.setattr(paths.os, "listdir", listdir)
    assert paths.as_on_disk(tmp_path / other) == tmp_path / "Été"
    assert paths.as_on_disk(tmp_path / "absent" / "x") == tmp_path / "absent" / "x"
    own = Gallery.create(None, sketch)
    index_folder(own, tmp_path / "Été")
    again = index_folder(own, tmp_path / other)
    assert (again.unchanged, again.added, len(own)) == (1, 0, 1)


def test_a_folder_of_a_mac_in_a_condition(gallery, sketch) -> None:
    opened = Gallery.open(gallery, sketch)
    assert len(opened.search("a dog", where="folder = 'été'")) == 1


def test_metadata_written_on_windows(pictures) -> None:
    rows = [r"file_name,caption", r".\sub\cat.png,a cat", r"DOG.PNG,a dog", r"C:\p\dog.png,no"]
    (pictures / "metadata.csv").write_bytes("\r\n".join(rows).encode("utf-16"))
    try:
        report = ReadReport()
        files = walk(pictures, report)
        tables = metadata_files(files, pictures, report)
        found = picture_annotations(files, pictures, report, tables=tables)
    finally:
        (pictures / "metadata.csv").unlink()
    assert {path.name: one.sentences for path, one in found.items()} == {
        "cat.png": ("a cat",),
        "dog.png": ("a dog",),
    }


def test_patterns_with_backslashes(monkeypatch) -> None:
    monkeypatch.setattr(exclude.os, "sep", "\\")
    assert exclude.Excluded(["2019\\raw\\"], Path("/p"))(Path("/p/2019/raw/1.jpg"))


def test_hidden_folders_are_no_steps_up() -> None:
    table = _table(["/.cache/a.jpg", "/home/.b/..c/d...jpg", "C:/.x/y.jpg", "/?/b.jpg"])
    assert checked_items(table) == table


# ---- the system


def test_nothing_needs_unix(pictures, tmp_path) -> None:
    """Neither its modules nor `fork`, in a fresh process whose code comes from standard input."""
    script = f"""
import builtins, multiprocessing, os, sys
from pathlib import Path
found = builtins.__import__
def guarded(name, globals=None, *rest, **named):
    if name in {UNIX_ONLY!r} and (globals or {{}}).get("__name__", "").startswith("cmr_hub"):
        raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
    return found(name, globals, *rest, **named)
builtins.__import__ = guarded
del os.fork, os.forkpty, os.sched_getaffinity
multiprocessing.set_start_method("spawn")
import cmr_hub
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.indexing import decode
from cmr_hub.gallery.indexing.index import index_folder
decode._FEW = 1  # so that there are workers
gallery = Gallery.create(Path({str(tmp_path / "g")!r}), cmr_hub.load("sketch"), model_name="sketch")
print(index_folder(gallery, {str(pictures)!r}, workers=2).added)
print(gallery.search("a dog", k=1)[0].rank)
"""
    done = _python("-", input=script)
    assert done.stdout.split() == ["3", "1"], done.stderr


def test_no_module_of_unix_is_imported() -> None:
    named = {
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip().startswith(
            tuple(f"{verb} {name}" for verb in ("import", "from") for name in UNIX_ONLY)
        )
    }
    assert named == set()


def test_a_read_only_installation_in_a_plain_locale(gallery, tmp_path) -> None:
    """Without a home, with ASCII as the language of the system, and nothing written beside it."""
    script = f"""
import os, sys
def refuse(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        path, mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR) and path.startswith({(str(PACKAGE), sys.prefix)!r}):
            raise OSError(30, "Read-only file system", path)
sys.addaudithook(refuse)
import runpy
sys.argv = ["cmr", "search", {str(gallery)!r}, "a dog", "--json"]
from cmr_hub.cli import main
main()
"""
    environment = {name: os.environ[name] for name in ("PATH",)} | {"TMPDIR": str(tmp_path)}
    environment |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = _python("-c", script, env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3


def test_without_a_home(monkeypatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CMR_CACHE_HOME")
    monkeypatch.setattr(Path, "home", none)
    assert default_cache_home() == Path(tempfile.gettempdir()) / "cmr-hub"


def test_without_a_folder_for_temporary_files(monkeypatch, gallery, capsys) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    code, out, err = _cmr(monkeypatch, "search", gallery, "a dog", "--open")
    assert (code, out) == (2, "")
    assert err.startswith("error: [Errno 2] No usable temporary directory")


def test_memory_that_the_system_does_not_tell(monkeypatch) -> None:
    monkeypatch.delattr(memory.os, "sysconf")
    memory.require_memory(2**60, "this", "")


def test_a_file_that_windows_holds_is_replaced_when_it_is_closed(tmp_path, monkeypatch) -> None:
    (tmp_path / "a").write_text("new")
    replace, refusals = Path.replace, iter([True, True, False])

    def refused(self: Path, target: Path) -> Path:
        if next(refusals):
            raise PermissionError(13, "The process cannot access the file")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    monkeypatch.setattr(atomic, "_WAITS", (0, 0, 0))
    atomic.move(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "new"


# ---- the console


def _commands() -> list[list[str]]:
    """Every command and subcommand."""
    found = []
    for name, command in get_command(cli.app).commands.items():
        inner = getattr(command, "commands", None)
        found += [[name]] if inner is None else [[name], *([name, one] for one in inner)]
    return found


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii"])
def test_consoles_of_other_encodings(monkeypatch, gallery, encoding: str) -> None:
    """Help of every command, and what is printed of Japanese captions."""
    for command in _commands():
        code, out, err = _cmr(monkeypatch, *command, "--help", encoding=encoding)
        assert (code, err) == (0, ""), command
        assert "Usage: " in out
    for command in (
        ["--version"],
        ["data"],
        ["doctor"],
        ["models"],
        ["search", gallery, "a dog"],
        ["search", gallery, "a dog", "--json"],
        ["search", gallery, "犬"],
        ["search", gallery, "a dog", "--where", "名 = 1"],
        ["gallery", "info", gallery],
        ["gallery", "verify", gallery],
        ["gallery", "duplicates", gallery],
        ["nope 犬"],
    ):
        code, _, err = _cmr(monkeypatch, *command, encoding=encoding)
        assert code in (0, 2), (command, err)
        assert "Traceback" not in err


# ---- helpers


def _table(names: list[str | None]) -> pa.Table:
    empty = items_table([Item(str(number)) for number in range(len(names))])
    return empty.set_column(1, "path", pa.chunked_array([pa.array(names, pa.string())]))


def _python(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    options.setdefault("env", {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )


def _cmr(
    monkeypatch: pytest.MonkeyPatch, *arguments: object, encoding: str = "utf-8"
) -> tuple[int, str, str]:
    """Runs a command; gives its exit code and what it wrote."""
    streams = {
        name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")
    }
    with monkeypatch.context() as patch:
        for name, stream in streams.items():
            patch.setattr(sys, name, stream)
        patch.setattr(sys, "argv", ["cmr", *map(str, arguments)])
        patch.setenv("COLUMNS", "100")
        with pytest.raises(SystemExit) as end:
            cli.main()
        for stream in streams.values():
            stream.flush()
    written = [stream.buffer.getvalue().decode(encoding) for stream in streams.values()]
    return int(end.value.code or 0), written[0], written[1]
