"""How far hits stand out, beside a plain loop over the neutral sentences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cmr_hub import cli
from cmr_hub.encoders.texts.bow import BowEncoder
from cmr_hub.errors import ModelFormatError, QueryError
from cmr_hub.gallery.clear import Neutral, neutral_of
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item
from cmr_hub.gallery.neutral import neutral_sentences
from cmr_hub.gallery.query import Mix


def unit_rows(seed: int, *shape: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=shape)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_the_sentences_are_many_and_different() -> None:
    sentences = neutral_sentences()
    assert len(sentences) == len(set(sentences)) == 1008
    assert sentences == neutral_sentences()
    assert all(sentence == " ".join(sentence.split()) for sentence in sentences)
    assert sentences[:2] == ["a man with a beard", "a man with a beard smiling at the camera"]


@pytest.mark.parametrize(("count", "dim"), [(300, 8), (5, 8)])
def test_z_is_that_of_a_loop(count: int, dim: int) -> None:
    neutral, items, query = unit_rows(0, count, dim), unit_rows(1, 20, dim), unit_rows(2, dim)
    expected = []
    for item in items.astype(float):
        scores = [float(item @ other) for other in neutral.astype(float)]
        expected.append((float(item @ query) - np.mean(scores)) / np.std(scores))
    got = Neutral.of_vectors(neutral).z(items.astype(float) @ query, items)
    assert got == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_z_without_any_spread() -> None:
    neutral = Neutral.of_vectors(np.tile(np.float32([1, 0]), (9, 1)))
    assert neutral.z(np.ones(1), np.float32([[0, 1]])).tolist() == [0]


def test_of_the_default(default) -> None:
    """Its gallery knows it, of the sentences of which it knows a word."""
    known = [one for one in neutral_sentences() if default.text.knows((one,))]
    assert 900 < len(known) < 1008
    hits = default.gallery.search("two red buses on a street", 5)
    vectors = default.gallery.store.rows([hit.id for hit in hits]).vectors["image"].matrix
    ids = default.gallery.store.rows([hit.id for hit in hits]).items["id"].to_pylist()
    scores = default.encode_texts(known).astype(float) @ vectors.T
    z = {
        id_: (hit.score - own.mean()) / own.std()
        for id_, own in zip(ids, scores.T, strict=True)
        for hit in hits
        if hit.id == id_
    }
    assert [hit.z for hit in hits] == pytest.approx([z[hit.id] for hit in hits], rel=1e-3)
    assert [hit.z for hit in default.search("two red buses on a street", k=5)] == pytest.approx(
        [hit.z for hit in hits], abs=1e-6
    )
    assert json.loads(json.dumps(hits[0].record()["z"])) == hits[0].z


def test_the_cut(default) -> None:
    gallery = default.gallery
    query = "a red bus"
    whole = gallery.search(query, 240)
    assert len(whole) == 240
    clear = sorted(hit.z for hit in whole)[-12]
    kept = [hit.id for hit in whole if hit.z >= clear]
    assert len(kept) == 12
    assert [hit.id for hit in gallery.search(query, 100, clear=clear)] == kept
    pages = [gallery.search(query, 5, offset=at, clear=clear) for at in (0, 5, 10, 15)]
    assert [hit.id for page in pages for hit in page] == kept
    assert [hit.rank for page in pages for hit in page] == list(range(1, 13))
    assert gallery.search(query, clear=50) == []
    # What is hidden hides nothing.
    apart = gallery.search(query, 100, clear=clear, distinct=0.9)
    assert {hit.id for hit in apart} <= set(kept)
    assert apart[0].id == kept[0]


def test_nothing_is_said_where_nothing_is_known(default, gallery: Gallery, tmp_path: Path) -> None:
    own = default.gallery
    path = Path(own.items["path"][0].as_py())
    vector = own.vectors("image")[0]
    for query in (path, vector, Mix((1, path), (1, "a bus"))):
        assert own.search(query, 1)[0].z is None
        with pytest.raises(QueryError, match="text queries only"):
            own.search(query, clear=1)
    assert own.search(vector, 1, query_modality="text")[0].z is not None
    assert own.search(Mix((1, "a bus"), (-0.5, "night")), 1)[0].z is not None
    assert gallery.search(unit_rows(1, 12), 1, query_modality="text")[0].z is None
    with pytest.raises(QueryError, match="index` again"):
        gallery.search(unit_rows(1, 12), clear=1, query_modality="text")
    with pytest.raises(QueryError, match="clear must be a finite number"):
        own.search("a bus", clear=float("nan"))


def test_kept_with_a_gallery(default, tmp_path: Path, monkeypatch) -> None:
    own, path = default.gallery.store.neutral, Path(default.gallery.items["path"][0].as_py())
    monkeypatch.setattr(default, "gallery", None)
    made = Gallery.create(tmp_path / "g", default)
    assert made.store.neutral is None
    made.add([Item("a", path)])
    first = made.store.neutral
    np.testing.assert_allclose(first.mean, own.mean, atol=1e-6)
    np.testing.assert_allclose(first.factor.T @ first.factor, own.factor.T @ own.factor, atol=1e-6)
    # Encoded once: more items, another gallery and another process need not do it again.
    monkeypatch.setattr(type(default), "encode_texts", None)
    made.add([Item("b", path)])
    assert made.store.neutral is first
    again = neutral_of(default)
    assert (again.mean == first.mean).all()
    opened = Gallery.open(tmp_path / "g")
    assert (opened.store.neutral.factor == first.factor).all()
    opened.remove(["a"])
    opened.store.compact()
    opened.save(tmp_path / "copy")
    kept = Gallery.open(tmp_path / "copy").store.neutral
    assert (kept.mean == first.mean).all()


def test_those_of_the_models_gallery_are_reused(default, monkeypatch) -> None:
    monkeypatch.setattr(type(default), "encode_texts", None)
    made = Gallery.create(None, default)
    made.add([Item("a", Path(default.gallery.items["path"][0].as_py()))])
    assert made.store.neutral is default.gallery.store.neutral


def test_galleries_of_before(gallery: Gallery, default, tmp_path: Path) -> None:
    """They are read, say nothing of z, and are written as before."""
    gallery.save(tmp_path / "g")
    assert "neutral" not in json.loads((tmp_path / "g" / "manifest.json").read_text())
    assert Gallery.open(tmp_path / "g").store.neutral is None


@pytest.mark.parametrize("damage", ["other arrays", "not finite", "other width"])
def test_damaged(damage: str, gallery: Gallery, tmp_path: Path) -> None:
    gallery.save(tmp_path / "g")
    opened = Gallery.open(tmp_path / "g")
    arrays = {"mean": unit_rows(0, 12), "factor": unit_rows(0, 3, 12)}
    if damage == "other arrays":
        with pytest.raises(ModelFormatError, match="neutral"):
            Neutral.of_arrays({"mean": arrays["mean"]})
        return
    if damage == "not finite":
        arrays["mean"][3] = np.nan
        with pytest.raises(ModelFormatError, match="finite"):
            Neutral.of_arrays(arrays)
        return
    opened.store.keep_neutral(Neutral(unit_rows(0, 5), unit_rows(0, 3, 5)))
    with pytest.raises(ModelFormatError, match="dimensions"):
        Gallery.open(tmp_path / "g")


def test_a_model_that_knows_too_little(model) -> None:
    model.text_encoder = BowEncoder(min_df=1, stop_words=None).fit([("zebra", "zebra finch")])
    assert neutral_of(model) is None


def test_a_cache_that_cannot_be_written(default, tmp_path: Path, monkeypatch, caplog) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "file" / "cache"))
    assert neutral_of(default) is not None
    assert "encoded again next time" in caplog.text


def test_the_command(default, capsys, monkeypatch, tmp_path: Path) -> None:
    def cmr(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["cmr", "search", "sketch", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert not end.value.code
        return capsys.readouterr().out

    first = default.search("a red bus", k=1)[0]
    assert f"{first.z:.1f}" in cmr("a red bus", "-k", 1)
    assert "Nothing here stands out for this query." in cmr("a red bus", "--clear", 50)
    assert json.loads(cmr("a red bus", "--clear", 50, "--json")) == []
    cmr("a red bus", "--clear", 50, "--html", tmp_path / "hits.html")
    assert "Nothing here stands out for this query." in (tmp_path / "hits.html").read_text()
    cmr("a red bus", "-k", 1, "--html", tmp_path / "hits.html")
    assert f"stands out {first.z:.1f}" in (tmp_path / "hits.html").read_text()
