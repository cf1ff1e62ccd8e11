from __future__ import annotations

import json
import runpy
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import typer
from PIL import Image
from playwright.sync_api import expect

from cmr_hub.apps import search_page
from cmr_hub.apps.search_page import (
    MAX_LETTERS,
    PICTURE_HINT,
    TEXT_HINT,
    SearchHandlers,
    build_page,
    launch,
    serve,
)
from cmr_hub.errors import CMRError, QueryError
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.gallery.items import Item, items_table
from cmr_hub.models.cross_modal import CrossModalModel

# A busy machine draws late.
expect.set_options(timeout=30_000)

RED, WHITE = (200, 30, 30), (255, 255, 255)
MARKUP = "<img src=x onerror=alert(1)> ${alert(2)} {{value}} `tick`"


@pytest.fixture
def handlers(model) -> SearchHandlers:
    return SearchHandlers(model, model.gallery)


@pytest.fixture
def red_square(tmp_path) -> Path:
    path = tmp_path / "my red.png"
    Image.new("RGB", (60, 30), RED).save(path)
    return path


@pytest.fixture
def fake_picture(tmp_path) -> Path:
    path = tmp_path / "fake.jpg"
    path.write_text("this is a text\n" * 20)
    return path


def classes_of(captions: list[str]) -> list[str]:
    """`1. red · 0.93` → `red`."""
    return [caption.split(". ")[1].split(" · ")[0] for caption in captions]


# ---- what the events call


def test_a_sentence_finds_pictures_in_the_order_of_the_model(handlers, model) -> None:
    for colour in ("red", "green", "blue"):
        status, tiles = handlers.search_text(f" a {colour} square\n", 5)
        expected = [
            f"{hit.rank}. {hit.label} · {hit.score:.2f}"
            for hit in model.search(f"a {colour} square", k=5)
        ]
        assert [caption for _, caption in tiles] == expected
        assert classes_of(expected)[:4] == [colour] * 4
        assert status.startswith("5 pictures found in ")
        assert status.endswith(" ms.")
        mean = tiles[0][0].resize((1, 1)).getpixel((0, 0))
        assert mean.index(max(mean)) == ("red", "green", "blue").index(colour)


def test_unknown_words_are_named(handlers) -> None:
    status, tiles = handlers.search_text("a red zebra, a Zebra and a wug", 1)
    assert len(tiles) == 1
    assert status.startswith("1 picture found")
    assert status.endswith("\nLeft out, as this model does not know them: zebra, wug.")
    many = "red " + " ".join(f"wug{i}" for i in range(30))
    assert handlers.search_text(many, 1)[0].endswith("wug6, wug7 and 22 more.")


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_no_sentence(handlers, text) -> None:
    assert handlers.search_text(text, 5) == (TEXT_HINT, [])


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("wug blick", "No word of the text is known to this model: wug, blick; use other words."),
        ("red " * 25_000, "The text has 99,999 characters, and at most 2,000 can be searched with"),
    ],
)
def test_a_sentence_that_cannot_be_searched(handlers, text, status) -> None:
    said, tiles = handlers.search_text(text, 5)
    assert said.startswith(status)
    assert tiles == []


def test_the_longest_sentence(handlers) -> None:
    assert len(handlers.search_text("red".ljust(MAX_LETTERS, "!"), 5)[1]) == 5
    assert handlers.search_text("red".ljust(MAX_LETTERS + 1, "?"), 5)[1] == []


def test_a_picture_finds_sentences_and_pictures(handlers, model, red_square) -> None:
    status, rows, tiles = handlers.search_image(red_square, 6)
    texts = model.search(image=red_square, k=6, target="text")
    assert [(row["rank"], row["id"], row["class"], row["score"]) for row in rows] == [
        (hit.rank, hit.id, hit.label, hit.score) for hit in texts
    ]
    assert rows[0]["sentences"] == ["a red square", "paper all red"]
    assert [row["class"] for row in rows[:4]] == ["red"] * 4
    assert classes_of([caption for _, caption in tiles])[:4] == ["red"] * 4
    assert status.startswith("6 texts and 6 pictures found in ")
    json.dumps(rows)


def test_a_file_that_is_no_picture(handlers, fake_picture) -> None:
    assert handlers.search_image(None, 5) == (PICTURE_HINT, [], [])
    status, rows, tiles = handlers.search_image(fake_picture, 5)
    assert status.startswith("Cannot read the picture fake.jpg: it is not a JPEG, PNG")
    assert str(fake_picture.parent) not in status
    assert rows == tiles == []


def test_examples_come_from_the_gallery(handlers) -> None:
    assert len(handlers.pictures) == len(handlers.sentences) == 6
    assert {label for _, label in handlers.pictures} == {"red", "green", "blue"}
    assert {"a red square", "a blue square"} <= set(handlers.sentences)


def test_large_pictures_are_made_small(model, tmp_path) -> None:
    Image.new("RGB", (3000, 1000), RED).save(tmp_path / "wide.png")
    items = items_table([Item(id="wide", path=tmp_path / "wide.png", sentences=("a red square",))])
    vectors = model.encode_images([tmp_path / "wide.png"])
    gallery = Gallery.from_vectors(items, image_embeddings=vectors, model_id=model.fingerprint)
    assert SearchHandlers(model, gallery).pictures[0][0].size == (640, 213)


def test_pictures_that_moved_are_told_and_nothing_breaks(make_model, caplog) -> None:
    model = make_model()
    folder = model.search("red", k=1)[0].path.parent
    before, _ = SearchHandlers(model, model.gallery).search_text("a red square", 3)
    assert "cannot be shown" not in before
    folder.rename(folder.with_name("elsewhere"))
    handlers = SearchHandlers(model, model.gallery)
    assert handlers.pictures == []
    assert str(folder) in caplog.text
    build_page(model)
    status, tiles = handlers.search_text("a red square", 3)
    assert "3 of 3 pictures cannot be shown: they are no longer where they were" in status
    assert str(folder) not in status
    assert classes_of([caption for _, caption in tiles]) == ["red"] * 3
    assert all(caption.endswith(" · no picture") for _, caption in tiles)


def test_items_without_picture_or_class(model) -> None:
    vectors = model.encode_texts(["a red square", "a blue square"])
    gallery = Gallery.from_vectors(
        items_table([Item(id="a", sentences=("a red square",)), Item(id="b")]),
        image_embeddings=vectors,
        text_embeddings=vectors,
        model_id=model.fingerprint,
    )
    handlers = SearchHandlers(other_gallery(model, gallery), gallery)
    assert (handlers.sentences, handlers.pictures) == (["a red square"], [])
    status, tiles = handlers.search_text("red square", 2)
    assert tiles[0][1].startswith("1. ")
    assert all(caption.endswith("no picture") for _, caption in tiles)
    assert "cannot be shown" not in status


def other_gallery(model: CrossModalModel, gallery: object) -> CrossModalModel:
    other = CrossModalModel(
        model.image_projector,
        model.text_projector,
        image_encoder=model.image_encoder,
        text_encoder=model.text_encoder,
    )
    other.gallery = gallery
    return other


def test_models_that_cannot_be_searched(model) -> None:
    empty = Gallery.from_vectors(
        items_table([]),
        image_embeddings=model.encode_texts(["red"])[:0],
        model_id=model.fingerprint,
    )
    for gallery in (None, empty):
        with pytest.raises(QueryError, match=r"no gallery.*--gallery test"):
            build_page(other_gallery(model, gallery))
    features = CrossModalModel(model.image_projector, model.text_projector)
    with pytest.raises(QueryError, match="precomputed features"):
        build_page(features)


# ---- serving


def test_a_taken_port_is_told(model) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CMRError, match=f"cannot listen on 127.0.0.1, port {port}; choose"):
            serve(build_page(model), host="127.0.0.1", port=port, block=False)


def test_launch_serves_the_model_of_a_directory(model, monkeypatch, capsys, tmp_path) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(search_page, "load", lambda name, **_: asked.append(name) or model)
    monkeypatch.setattr(search_page.gr.Blocks, "block_thread", lambda page: page.close())
    launch(tmp_path, host="127.0.0.1", port=None)
    assert asked == [tmp_path]
    assert "The page is at http://127.0.0.1:" in capsys.readouterr().out


def test_serving_asks_no_other_machine(model, serve_page, monkeypatch) -> None:
    asked: set[str] = set()
    look_up = socket.getaddrinfo

    def noted(host, *args, **kwargs):
        asked.add(host.decode() if isinstance(host, bytes) else str(host))
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", noted)
    httpx.get(serve_page(model)).raise_for_status()
    assert asked
    assert asked <= {"127.0.0.1", "localhost"}


DEMO = Path(__file__).parents[2] / "demo_gradio.py"


def test_the_demo_says_what_it_needs(tmp_path) -> None:
    ran = subprocess.run(
        [sys.executable, DEMO, "./runs/none"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
    )
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr == (
        "error: there is no model directory runs/none, and no release of this name (default); "
        "train one with `cmr train --out runs/none`\n"
    )


def test_the_demo_on_a_directory_of_something_else(tmp_path, capsys) -> None:
    with pytest.raises(typer.Exit) as stopped:
        runpy.run_path(str(DEMO))["main"](tmp_path)
    assert stopped.value.exit_code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {tmp_path} is not a model directory")


# ---- as a service


@pytest.fixture(scope="module")
def client(url, tmp_path_factory):
    from gradio_client import Client

    return Client(url, download_files=tmp_path_factory.mktemp("client"), verbose=False)


def test_named_endpoints(client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)
    assert set(endpoints["named_endpoints"]) == {"/search_text", "/search_image"}
    assert endpoints["unnamed_endpoints"] == {}


def test_search_text_through_the_api(client) -> None:
    status, pictures = client.predict("a blue square", 3, api_name="/search_text")
    assert status.startswith("3 pictures found")
    assert classes_of([picture["caption"] for picture in pictures]) == ["blue"] * 3
    with Image.open(pictures[0]["image"]) as picture:
        assert picture.format == "JPEG"
    status, pictures = client.predict("wug", 3, api_name="/search_text")
    assert status.startswith("No word of the text is known")
    assert pictures == []


def test_search_image_through_the_api(client, red_square) -> None:
    from gradio_client import handle_file

    status, rows, pictures = client.predict(handle_file(red_square), 2, api_name="/search_image")
    assert status.startswith("2 texts and 2 pictures found")
    assert [row["class"] for row in rows] == ["red", "red"]
    assert len(pictures) == 2


def answer_of(url: str, endpoint: str, *data: object) -> str:
    """The last event of a call, as the server sent it."""
    api = f"{url}gradio_api/call/{endpoint}"
    event = httpx.post(api, json={"data": data}).raise_for_status().json()["event_id"]
    return httpx.get(f"{api}/{event}", timeout=30).text


def test_files_of_the_machine_are_hidden(url, model, tmp_path, monkeypatch, red_square) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text("secret")
    picture = model.search("red", k=1)[0].path
    for path in ("/etc/passwd", tmp_path / "config.json", "config.json", red_square, picture):
        for route in ("file=", "file/"):
            found = httpx.get(f"{url}gradio_api/{route}{path}")
            assert found.status_code in (403, 404), path
        given = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        answer = answer_of(url, "search_image", given, 3)
        assert answer.startswith("event: error"), path
        assert "secret" not in answer


@pytest.mark.parametrize("count", [2.5, 0, 51, 10**9, "many", None])
def test_a_number_of_results_out_of_range(url, count) -> None:
    answer = answer_of(url, "search_text", "a red square", count)
    assert answer.startswith("event: error")
    assert "Traceback" not in answer


def test_large_uploads_are_refused(url) -> None:
    files = {"files": ("large.png", b"\0" * (21 * 10**6))}
    assert httpx.post(f"{url}gradio_api/upload", files=files).status_code == 413


# ---- in the browser


def search_for(window, text: str) -> str:
    """Types a sentence, presses Enter and gives what the page says then."""
    status = window.locator("#sentence-status p")
    expect(status).not_to_be_empty()
    before = status.inner_text()
    window.fill("#sentence-query textarea", text)
    window.press("#sentence-query textarea", "Enter")
    window.wait_for_function(
        "before => document.querySelector('#sentence-status p').innerText != before", arg=before
    )
    return status.inner_text()


def captions(window, gallery: str) -> list[str]:
    window.wait_for_selector(f"#{gallery} .caption-label")
    return window.locator(f"#{gallery} .caption-label").all_inner_texts()


def upload(window, path: Path) -> str:
    """Gives the page a picture and gives what the page says then."""
    window.get_by_role("tab", name="By picture").click()
    window.set_input_files("#picture-query input[type=file]", path)
    window.wait_for_function(
        "hint => document.querySelector('#picture-status p').innerText != hint", arg=PICTURE_HINT
    )
    return window.inner_text("#picture-status p")


def test_a_person_types_a_sentence(visit, url) -> None:
    window = visit(url)
    expect(window.locator("#sentence-status p")).to_have_text(TEXT_HINT)
    assert search_for(window, "a green square, wug").endswith("does not know them: wug.")
    found = captions(window, "sentence-pictures")
    assert len(found) == 10
    assert classes_of(found)[:4] == ["green"] * 4
    images = window.locator("#sentence-pictures img")
    assert images.first.get_attribute("alt") == found[0]
    window.wait_for_function("document.querySelector('#sentence-pictures img').naturalWidth == 40")


def test_errors_are_sentences_on_the_page(visit, url) -> None:
    window = visit(url)
    assert search_for(window, "wug blick").startswith("No word of the text is known")
    assert search_for(window, "x" * 100_000).startswith("The text has 100,000 characters")
    assert search_for(window, "") == TEXT_HINT
    assert search_for(window, "a red square").startswith("10 pictures found")
    assert search_for(window, f"{MARKUP} wug").startswith("No word of the text is known to this")
    expect(window.locator("#sentence-pictures img")).to_have_count(0)
    assert "Traceback" not in window.content()


def test_a_person_clicks_an_example_sentence(visit, url) -> None:
    window = visit(url)
    example = window.locator("#sentence-examples button").first
    expect(example).to_have_text("a red square")
    example.click()
    assert classes_of(captions(window, "sentence-pictures"))[:4] == ["red"] * 4
    expect(window.locator("#sentence-query textarea")).to_have_value("a red square")


def test_fewer_results(visit, url) -> None:
    window = visit(url)
    search_for(window, "a red square")
    window.get_by_label("number input for Number of results").first.fill("3")
    assert search_for(window, "a blue square").startswith("3 pictures found")


def test_a_person_uploads_a_picture(visit, url, red_square) -> None:
    window = visit(url)
    assert upload(window, red_square).startswith("10 texts and 10 pictures found")
    expect(window.locator("#picture-sentences tr")).to_have_count(11)
    header, *rows = window.locator("#picture-sentences tr").all()
    assert header.inner_text().split() == ["rank", "id", "class", "sentences"]
    assert len(rows) == 10
    assert rows[0].locator("td").nth(0).inner_text() == "1"
    assert rows[0].locator("td p").all_inner_texts() == ["a red square", "paper all red"]
    assert [row.locator("td").nth(2).inner_text() for row in rows[:4]] == ["red"] * 4
    assert classes_of(captions(window, "picture-pictures"))[:4] == ["red"] * 4
    window.get_by_label("Remove Image").click()
    expect(window.locator("#picture-sentences tr")).to_have_count(0)
    expect(window.locator("#picture-status p")).to_have_text(PICTURE_HINT)


def test_a_person_clicks_an_example_picture(visit, url) -> None:
    window = visit(url)
    window.get_by_role("tab", name="By picture").click()
    window.locator("#picture-examples button").last.click()
    assert classes_of(captions(window, "picture-pictures"))[:4] == ["blue"] * 4


def test_a_text_file_uploaded_as_a_picture(visit, url, fake_picture) -> None:
    said = upload(visit(url), fake_picture)
    assert said.startswith("Cannot read the picture fake.jpg: it is not a JPEG, PNG")


def test_markup_in_the_gallery_is_shown_as_text(visit, url, model, tmp_path) -> None:
    hit = next(hit for hit in model.search("green", k=12, target="text") if hit.id == "green-11")
    window = visit(url)
    upload(window, hit.path)
    row = window.locator("#picture-sentences tr", has_text="green-11")
    expect(row.locator("td p")).to_have_text(f"a green square {MARKUP}")
    expect(window.locator("#picture-sentences img")).to_have_count(0)


def test_the_page_fits_a_phone(visit, url, red_square) -> None:
    window = visit(url, width=390)
    search_for(window, "a red square")
    captions(window, "sentence-pictures")
    assert window.evaluate("document.documentElement.scrollWidth") <= 390
    upload(window, red_square)
    captions(window, "picture-pictures")
    assert window.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_search_of_2019(data_home, mobilenet_weights, serve_page, visit) -> None:
    from cmr_hub.datasets import load_dataset
    from cmr_hub.encoders.feature_cache import FeatureCache
    from cmr_hub.encoders.images import image_encoder
    from cmr_hub.encoders.texts.bow import BowEncoder
    from cmr_hub.evaluation.experiment import run_experiment
    from cmr_hub.gallery.build import build_gallery
    from cmr_hub.training.presets import PRESETS

    dataset = load_dataset("pascal-sentence", data_home / "pascal-sentence", "800/200")
    test, cache = dataset.split("test"), FeatureCache()
    # A third of the training pairs: enough for this, and the features take time.
    some = dataset.subset((dataset.splits == "test") | (np.arange(len(dataset)) % 3 == 0))
    model = run_experiment(
        some,
        replace(PRESETS["acmr-paper"], epochs=10, learning_rate=1e-3),
        0,
        image_encoder=image_encoder("mobilenet_v2", mobilenet_weights),
        text_encoder=BowEncoder(),
        cache=cache,
    ).model
    model.gallery = build_gallery(model, test, cache=cache)
    window = visit(serve_page(model))
    search_for(window, "Four bikers are riding on a dirt hill.")
    assert classes_of(captions(window, "sentence-pictures"))[:3] == ["motorbike"] * 3
    photograph = test.images[list(test.labels).index(test.classes.index("motorbike"))]
    upload(window, photograph)
    for rank in (1, 2, 3):
        expect(
            window.locator(f"#picture-sentences tr:nth-child({rank}) td:nth-child(3)")
        ).to_have_text("motorbike")
    assert classes_of(captions(window, "picture-pictures"))[0] == "motorbike"
