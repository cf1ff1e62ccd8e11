import os

import pytest

from cmr_hub.outside import check_file, read_bytes, read_json


def test_limit_is_inclusive(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="it has 5 bytes; the limit is 4"):
        read_bytes(path, 4)


def test_what_is_no_file_is_refused_in_plain_words(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"^it is not a regular file$"):
        read_bytes(tmp_path / "pipe", 9)
    with pytest.raises(OSError, match=r"^it is a folder$"):
        read_bytes(tmp_path, 9)
    with pytest.raises(OSError, match=r"^there is no such file$"):
        read_bytes(tmp_path / "none", 9)
    with pytest.raises(OSError, match=r"^the name is not a valid path$"):
        read_bytes(tmp_path / "a\0b", 9)
    with pytest.raises(OSError, match=r"^File name too long$"):
        read_bytes(tmp_path / ("a" * 300), 9)


def test_a_missing_file_is_named_to_who_checks(tmp_path):
    with pytest.raises(FileNotFoundError) as found:
        check_file(tmp_path / "none", 9)
    assert found.value.filename == str(tmp_path / "none")
    (tmp_path / "a").touch()
    with pytest.raises(FileNotFoundError):
        check_file(tmp_path / "a" / "none", 9)


def test_holes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 2**20)
    os.truncate(path, 65 * 2**20)
    with pytest.raises(OSError, match=r"^it claims 68,157,440 bytes and is mostly holes$"):
        check_file(path)
    os.truncate(path, 64 * 2**20)  # so small a file is read in a moment, whatever it holds
    assert check_file(path) == 64 * 2**20


def test_a_large_file_without_holes_is_no_matter(tmp_path):
    path = tmp_path / "a"
    with path.open("wb") as file:
        for _ in range(66):
            file.write(b"x" * 2**20)
        file.truncate(100 * 2**20)
    assert check_file(path) == 100 * 2**20


def test_links(tmp_path):
    home, secret = tmp_path / "home", tmp_path / "secret"
    home.mkdir()
    secret.write_bytes(b"12345")
    (home / "link").symlink_to(secret)
    assert check_file(home / "link") == 5
    with pytest.raises(OSError, match="it is a link that leads out of"):
        check_file(home / "link", below=home)
    (home / "own").write_bytes(b"123")
    (home / "inside").symlink_to("own")
    assert check_file(home / "inside", below=home) == 3
    (tmp_path / "linked").symlink_to(home)
    assert check_file(tmp_path / "linked" / "own", below=tmp_path / "linked") == 3


def test_hard_links(tmp_path):
    home, secret = tmp_path / "home", tmp_path / "secret"
    (home / "deep").mkdir(parents=True)
    secret.write_bytes(b"12345")
    os.link(secret, home / "name")
    with pytest.raises(OSError, match=r"it has another name outside of .*home \(a hard link\)"):
        check_file(home / "name", below=home)
    secret.rename(home / "deep" / "name")
    assert check_file(home / "name", below=home) == 5


def test_what_an_installer_has_linked(tmp_path, monkeypatch):
    (tmp_path / "site" / "model").mkdir(parents=True)
    (tmp_path / "cache").touch()
    os.link(tmp_path / "cache", tmp_path / "site" / "model" / "file")
    monkeypatch.setattr("sys.prefix", str(tmp_path / "site"))
    assert check_file(tmp_path / "site/model/file", below=tmp_path / "site/model") == 0


def test_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"é": 1}', encoding="utf-8")
    assert read_json(path) == {"é": 1}
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        read_json(path)
