import gzip

import numpy as np
import pytest
from gensim.models import KeyedVectors

from cmr_hub.encoders.texts.vector_files import read_vectors
from cmr_hub.errors import DataFormatError, DataNotFoundError

WORDS = ["the", "dog", "naïve", "犬"]
VECTORS = np.array([[0.5, -1.25, 3e-5], [1, 2, 3], [-0.125, 0, 7], [9, 8, 7.5]], dtype=np.float32)


def lines(words=WORDS, vectors=VECTORS) -> list[str]:
    return [f"{word} {' '.join(map(str, row))}" for word, row in zip(words, vectors, strict=True)]


def write(path, rows: list[str]):
    path.write_bytes("\n".join([*rows, ""]).encode())
    return path


def keyed_vectors() -> KeyedVectors:
    vectors = KeyedVectors(3)
    vectors.add_vectors(WORDS, VECTORS)
    return vectors


def expect_all(path) -> None:
    words, vectors = read_vectors(path)
    assert words == WORDS
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, VECTORS)


def test_glove_text(tmp_path) -> None:
    expect_all(write(tmp_path / "glove.txt", lines()))


def test_word2vec_text_and_binary_as_gensim_writes_them(tmp_path) -> None:
    keyed_vectors().save_word2vec_format(str(tmp_path / "vectors.txt"))
    keyed_vectors().save_word2vec_format(str(tmp_path / "vectors.bin"), binary=True)
    expect_all(tmp_path / "vectors.txt")
    expect_all(tmp_path / "vectors.bin")


def test_gzip(tmp_path) -> None:
    keyed_vectors().save_word2vec_format(str(tmp_path / "vectors.bin"), binary=True)
    for name, content in [
        ("a.txt.gz", "\n".join(lines()).encode()),
        ("a.bin.gz", (tmp_path / "vectors.bin").read_bytes()),
    ]:
        (tmp_path / name).write_bytes(gzip.compress(content))
        expect_all(tmp_path / name)


def test_trailing_spaces_and_carriage_returns(tmp_path) -> None:
    # The C tools end every line with a space; Windows adds \r.
    expect_all(write(tmp_path / "a.txt", [line + " \r" for line in lines()]))


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
def test_limit(tmp_path, limit: int) -> None:
    write(tmp_path / "glove.txt", lines())
    write(tmp_path / "word2vec.txt", ["4 3", *lines()])
    keyed_vectors().save_word2vec_format(str(tmp_path / "vectors.bin"), binary=True)
    for name in ("glove.txt", "word2vec.txt", "vectors.bin"):
        words, vectors = read_vectors(tmp_path / name, limit)
        assert words == WORDS[:limit]
        np.testing.assert_array_equal(vectors, VECTORS[:limit])


def test_odd_words(tmp_path) -> None:
    odd = ["\x85", "\xa0", ". . .", "1/2", "3"]
    path = write(tmp_path / "a.txt", [*lines(), *(f"{word} 1 2 3" for word in odd)])
    assert read_vectors(path)[0] == WORDS + odd


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("cat 1 2", "line 5: expected a word and 3 numbers, got 3 fields"),
        ("cat 1 2 3 4", "line 5: expected a word and 3 numbers, got 5 fields"),
        ("cat", "line 5: expected a word and 3 numbers"),
        ("cat 1 nan 3", "line 5 has a value that is not finite"),
        ("cat 1 -inf 3", "line 5 has a value that is not finite"),
        ("cat 1 1e300 3", "line 5 has a value that is not finite"),
        ("cat 1 two 3", "line 5: .*'two'"),
        ("cat 1  3", "line 5: "),
    ],
)
def test_a_bad_line_is_named(tmp_path, bad: str, message: str) -> None:
    path = write(tmp_path / "glove.txt", [*lines(), bad, "more 1 2 3"])
    with pytest.raises(DataFormatError, match=message):
        read_vectors(path)
    assert read_vectors(path, limit=4)[0] == WORDS


@pytest.mark.parametrize("header", [b"", b"6 3\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_gensim_reads_is_read_alike(tmp_path, header: bytes, mark: bytes) -> None:
    """Repeated words, bytes that are not UTF-8, a byte order mark, with and without a header."""
    path = tmp_path / "a.txt"
    rows = "\n".join([*lines(), "dog 7 7 7"]).encode() + b"\nna\xefve 1 2 3\n"
    path.write_bytes(mark + header + rows)
    words, vectors = read_vectors(path)
    oracle = KeyedVectors.load_word2vec_format(
        str(path), encoding="utf-8-sig", unicode_errors="replace", no_header=not header
    )
    assert words == oracle.index_to_key[:5] == [*WORDS, "na\ufffdve"]
    np.testing.assert_array_equal(vectors, oracle.vectors[:5])


def test_repeated_words_of_a_binary_file(tmp_path) -> None:
    rows = [word.encode() + b" " + row.tobytes() for word, row in zip(WORDS, VECTORS, strict=True)]
    again = b"dog " + np.full(3, 7, "f4").tobytes() + b"na\xefve " + np.ones(3, "f4").tobytes()
    (tmp_path / "a.bin").write_bytes(b"6 3\n" + b"".join(rows) + again)
    words, vectors = read_vectors(tmp_path / "a.bin")
    assert words == [*WORDS, "na\ufffdve"]
    np.testing.assert_array_equal(vectors[:4], VECTORS)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"0 50\n"])
@pytest.mark.parametrize("name", ["a.txt", "a.bin"])
def test_empty(tmp_path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataFormatError, match=name):
        read_vectors(path)


@pytest.mark.parametrize("header", ["3 3", "5 3", "4 4", "4 2", "4\t3 \r"])
def test_a_header_that_promises_something_else(tmp_path, header: str, caplog) -> None:
    expect_all(write(tmp_path / "a.txt", [header, *lines()]))
    told = ["wrong header ignored: 1"] * (not header.startswith("4\t3"))
    assert [record.message.partition(": ")[2] for record in caplog.records] == told


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_tabs(tmp_path, mark: str) -> None:
    rows = [line.replace(" ", "\t", 1 + number % 3) for number, line in enumerate(lines())]
    expect_all(write(tmp_path / "a.txt", [mark + rows[0], *rows[1:]]))


def test_one_warning_tells_of_all_repairs(tmp_path, caplog) -> None:
    (tmp_path / "a.txt").write_bytes(b"dog 1 2\ndog 3 4\nna\xefve 1 2\ncat 1 2\ndog 1 2\n")
    assert read_vectors(tmp_path / "a.txt")[0] == ["dog", "na\ufffdve", "cat"]
    (record,) = caplog.records
    assert record.message.endswith(
        "a.txt: repeated words left out: 2; words with bytes that are not UTF-8: 1"
    )


def test_damaged_binary(tmp_path) -> None:
    path = tmp_path / "a.bin"
    keyed_vectors().save_word2vec_format(str(path), binary=True)
    content = path.read_bytes()
    infinite = np.array([np.inf], dtype=np.float32).tobytes()
    for broken in (
        content[:-9],
        b"no header\n" + content,
        b"99999999999 300\n" + content[4:],
        content[:-4] + infinite,
        bytes(range(256)) * 4,
    ):
        path.write_bytes(broken)
        with pytest.raises(DataFormatError, match=r"a\.bin"):
            read_vectors(path)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress("\n".join(lines()).encode())[:-12])
    with pytest.raises(DataFormatError, match="cannot be read to its end"):
        read_vectors(tmp_path / "b.txt.gz")


def test_missing(tmp_path) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(DataNotFoundError, match="there is no file"):
            read_vectors(path)


def test_a_line_without_end(tmp_path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"dog 1 2 3\n" + b"x" * (1 << 21))
    with pytest.raises(DataFormatError, match="line 2: "):
        read_vectors(path)


def test_the_published_subset(data_home) -> None:
    words, vectors = read_vectors(data_home / "glove" / "glove.6B.50d.subset.txt")
    assert vectors.shape == (5109, 50)
    assert len(words) == 5109
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit[words.index("dog")]))[1:6]
    assert {"cat", "dogs"} <= {words[index] for index in nearest}


@pytest.mark.parametrize("name", ["a.txt.gz", "a.bin.gz"])
def test_gzip_that_is_damaged_within(tmp_path, name) -> None:
    data = bytearray(gzip.compress(b"4 3\n" + b"dog 1 2 3\n" * 50))
    data[12:16] = b"\xff" * 4
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataFormatError, match=r"cannot be read to its end|start with two"):
        read_vectors(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.txt", "9" * 5000 + " 3"),
        ("a.bin", "9" * 5000 + " 3"),
        ("a.bin", f"{10**15} {10**15}"),
        ("a.bin.gz", f"{10**15} {10**15}"),
    ],
)
def test_a_header_that_promises_too_much(tmp_path, name, header) -> None:
    content = header.encode() + b"\ndog 1 2 3\n"
    packed = gzip.compress(content) if name.endswith("gz") else content
    (tmp_path / name).write_bytes(packed)
    with pytest.raises(DataFormatError):
        read_vectors(tmp_path / name)
