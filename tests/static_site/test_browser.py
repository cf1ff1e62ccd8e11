"""Sites as their visitors use them, in Chromium."""

from __future__ import annotations

import base64
import random
import shutil
from io import BytesIO
from itertools import product

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from static_sites import MARKUP, served

from cmr_hub.apps.search_page.engine import Engine
from cmr_hub.apps.search_page.query_options import QueryOptions
from cmr_hub.datasets.images import read_image
from cmr_hub.encoders.texts.sentence import SentenceEncoder
from cmr_hub.encoders.texts.tokens import words
from cmr_hub.gallery.explain import word_contributions
from cmr_hub.static_site.export import Pairs
from cmr_hub.static_site.tokens import text_input

expect.set_options(timeout=60_000)

CHROMIUM = shutil.which("chromium")
TIE = 2e-3
"""Scores may differ by 1e-3, so two that are nearer than twice that may change places."""
ODD = (
    "a dog's bone & a cat", "DON'T stop: 3 red-hot buses!", "two  people\ton a ﬁeld",
    "a man’s café", "İstanbul, dogs and ΣΙΓΜΑΣ",
)  # fmt: skip
HARDER = (
    *ODD, "naïve café — 2 people…", "北京 dog 東京", "[SEP] a [MASK] dog", "e\u0301 and \u00e9",
    "zero\u200bwidth and \u00adsoft", "x" * 120, "a\u00a0b\u2003c", "$5 + 3 = 8 ^ `tick` |~|",
    "👨‍👩‍👧 family 🐕", "", "unaffable supercalifragilistic", "ﬂag ½ Ⅳ", "don't won't can't",
)  # fmt: skip


CAMERA = """
window.stopped = 0;
window.refused = false;
Object.defineProperty(navigator, "mediaDevices", { value: { getUserMedia: async () => {
    if (window.refused) throw new DOMException("no", "NotAllowedError");
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: 320, height: 240 });
    const paint = () => {
        const context = canvas.getContext("2d");
        context.fillStyle = "seagreen";
        context.fillRect(0, 0, 320, 240);
    };
    paint();
    setInterval(paint, 50);
    const stream = canvas.captureStream(20);
    for (const track of stream.getTracks()) {
        const stop = track.stop.bind(track);
        track.stop = () => { window.stopped += 1; stop(); };
    }
    return stream;
} } });
"""


def ask(window, where: str, **given):
    """What the page answers a query: ids and scores by modality."""
    return window.evaluate(
        "async ([where, given]) => (await import('./page.js')).answer(where, given)", [where, given]
    )


def ask_picture(window, content: bytes):
    return window.evaluate(
        """async (text) => {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            const { answer } = await import('./page.js');
            return answer('gallery', { picture: new Blob([bytes]) });
        }""",
        base64.b64encode(content).decode(),
    )


def browser_pixels(window, content: bytes) -> np.ndarray:
    """The input of the image network for a picture."""
    found = window.evaluate(
        """async (text) => {
            const blob = new Blob([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))]);
            const { ask } = await import('./page.js');
            return [...await ask('pixels', { blob })];
        }""",
        base64.b64encode(content).decode(),
    )
    return np.array(found, np.float32)


def assert_same(found, expected) -> None:
    """The same hits in the same order, but for ties, with the same scores."""
    assert len(found) == len(expected)
    score_of = {hit.id: hit.score for hit in expected}
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["score"] == pytest.approx(theirs.score, abs=1e-3)
        if ours["id"] != theirs.id:
            assert score_of.get(ours["id"], expected[-1].score) == pytest.approx(
                theirs.score, abs=TIE
            )


def search_for(window, text: str, expected: str) -> None:
    window.fill("#text", text)
    window.press("#text", "Enter")
    expect(window.locator("#results .status")).to_contain_text(expected)


# ---- the same answers as Python's


def test_sentences_find_what_python_finds(visit, url, gallery) -> None:
    texts = [text for item in gallery.items.to_pylist() for text in item["sentences"]]
    chosen = [*random.Random(0).sample(texts, 45), *ODD]
    window = visit(url)
    for text in chosen:
        found = ask(window, "gallery", text=text)
        assert found["text"] is None
        expected = gallery.search(text, 10)
        assert_same(found["image"], expected)
        assert [hit["z"] for hit in found["image"]] == pytest.approx(
            [hit.z for hit in expected], abs=0.02
        )


def test_pictures_find_what_python_finds(visit, url, gallery, pictures) -> None:
    window = visit(url)
    contents = [path.read_bytes() for path in pictures]
    contents += [path.read_bytes() for path in Pairs.included().pictures[:40:5]]
    clear = BytesIO()
    Image.new("RGBA", (60, 50), (200, 30, 30, 0)).save(clear, "PNG")
    turned, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6
    read_image(Pairs.included().pictures[1]).save(turned, "JPEG", quality=95, exif=exif)
    for content in (*contents, clear.getvalue(), turned.getvalue()):
        found = ask_picture(window, content)
        for target in ("image", "text"):
            assert_same(found[target], gallery.search(content, 10, target))


def test_pixels_are_those_of_pillow(visit, url, gallery, pictures) -> None:
    window = visit(url)
    own = gallery.model.image.required_encoder.preprocessing
    for path in pictures[::3]:
        found = browser_pixels(window, path.read_bytes())
        expected = own.arrays(own.pixels(read_image(path, enough=own.enough))[None])["pixels"][0]
        assert found == pytest.approx(expected.ravel(), abs=1e-6)


def test_large_jpegs_are_decoded_smaller_as_pillow_does(visit, url, gallery) -> None:
    """To 3 of 255 levels, with chroma of every kind."""
    window = visit(url)
    own = gallery.model.image.required_encoder.preprocessing
    level = 1 / 255 / min(own.std)
    picture = read_image(Pairs.included().pictures[2])
    for subsampling, by, orientation in (
        *product(("4:4:4", "4:2:2", "4:2:0"), (2, 4, 8), (1,)),
        ("4:2:0", 2, 6),
    ):
        # A picture that is turned has whole blocks, as cameras make them.
        odd = np.array([6, 37] if orientation == 1 else [32, 80])
        image = picture.resize(tuple(by * own.enough + odd), Image.Resampling.BICUBIC)
        exif, file = Image.Exif(), BytesIO()
        exif[0x0112] = orientation
        image.save(file, "JPEG", quality=92, subsampling=subsampling, exif=exif)
        read = read_image(file.getvalue(), enough=own.enough)
        assert min(read.size) < 2 * own.enough
        expected = own.arrays(own.pixels(read)[None])["pixels"][0].ravel()
        away = np.abs(browser_pixels(window, file.getvalue()) - expected)
        assert away.max() < 3.1 * level
        assert away.mean() < 0.4 * level
        found = {hit["id"]: hit["score"] for hit in ask_picture(window, file.getvalue())["image"]}
        best = gallery.search(file.getvalue(), 1)[0]
        assert found[best.id] == pytest.approx(best.score, abs=3e-3)


@pytest.mark.parametrize("resampling", ["bicubic", "bilinear"])
def test_parts_of_pictures_are_resized_as_pillow_does(visit, url, pictures, resampling) -> None:
    window = visit(url)
    for path in pictures[:4:2]:
        image = Image.open(path).convert("RGB")
        box = (1.25, 0.5, image.width - 7.125, image.height - 3.75)
        found = window.evaluate(
            """async ([data, width, height, box, resampling]) => {
                const { resized } = await import('./pixels.js');
                return [...resized({ data, width, height }, box, 33, resampling)];
            }""",
            [np.asarray(image).ravel().tolist(), *image.size, box, resampling],
        )
        expected = image.resize((33, 33), Image.Resampling[resampling.upper()], box=box)
        assert found == np.asarray(expected).ravel().tolist()


def test_mixes_and_conditions_find_what_the_served_page_finds(visit, url, gallery) -> None:
    window = visit(url)
    engine = Engine(gallery.model, gallery)
    id_ = gallery.items["id"][7].as_py()
    for given in (
        {"text": "an animal", "without": "a dog"},
        {"text": "a red bus", "distinct": True},
        {"text": "a red bus", "clear": 1.0},
        {"text": "a boat at sea", "min_score": 0.3},
        {"text": "a boat at sea", "target": "both"},
        {"like": id_},
    ):
        expected = engine.answer(QueryOptions(**given, count=10))
        names = {"min_score": "minScore", "without": "unwanted", "target": "show"}
        asked = {names.get(name, name): value for name, value in given.items()}
        if "like" in asked:
            asked["like"] = 7
        found = ask(window, "gallery", **asked)
        for target, hits in (("image", expected.pictures), ("text", expected.texts)):
            if hits is None:
                assert found[target] is None
            else:
                assert_same(found[target], hits)


def test_minilms_tokens_are_those_of_python(visit, url, gallery) -> None:
    encoder = SentenceEncoder().fit([])
    texts = [text for item in gallery.items.to_pylist() for text in item["sentences"]]
    texts += list(Pairs.included().sentences)
    chosen = [*random.Random(1).sample(texts, 182), *HARDER, "dog " * 400]
    read = text_input(encoder)
    expected = [read.prepare(text)["input_ids"][0].tolist() for text in chosen]
    found = visit(url).evaluate(
        """async ([definition, texts]) => {
            const { tokeniser } = await import('./tokens.js');
            const tokens = tokeniser(definition);
            return texts.map((text) => tokens.feed(text).input_ids);
        }""",
        [read.definition, chosen],
    )
    for text, ours, theirs in zip(chosen, found, expected, strict=True):
        assert ours == theirs, text


@pytest.mark.parametrize("version", [1, 2])
def test_words_are_those_of_python(visit, url, gallery, version) -> None:
    texts = [*ODD, *HARDER, "猫が好き", "กินข้าว", "Straße ı K ſ", "dog\u200bcat a\u00adb",
             "e\u0301" * 40]  # fmt: skip
    texts += [item["sentences"][0] for item in gallery.items.to_pylist()[:20]]
    found = visit(url).evaluate(
        """async ([texts, version]) => {
            const { words } = await import('./tokens.js');
            return texts.map((text) => words(text, version));
        }""",
        [texts, version],
    )
    assert found == [words(text, version) for text in texts]


# ---- a visitor


def test_a_visitor_searches_and_looks(visit, url, gallery) -> None:
    window = visit(url)
    search_for(window, "two red buses in a city, wug", "does not know them: wug.")
    tiles = window.locator("#results .tile")
    expect(tiles).to_have_count(12)
    expect(window.locator("#results .status")).to_contain_text("12 pictures found in")
    window.wait_for_function("() => document.querySelector('.tile img').naturalWidth > 0")
    expected = gallery.search("two red buses in a city, wug", 12)
    tiles.first.locator("button.open").click()
    viewer = window.locator("dialog.viewer")
    expect(viewer.locator(".words li").first).to_be_visible()
    (item,) = gallery.store.rows([expected[0].id]).items.to_pylist()
    expect(viewer.get_by_text(item["sentences"][0], exact=True)).to_be_visible()
    vector = gallery.store.rows([expected[0].id]).vectors["image"].matrix[0]
    contributions = word_contributions(
        gallery.model, "two red buses in a city, wug", vector, gallery.store.neutral
    )
    assert viewer.locator(".words .word").all_inner_texts() == [one.word for one in contributions]
    values = viewer.locator(".words .value").all_inner_texts()
    assert values[-1] == "unknown"
    shown = [float(value.replace("\u2212", "-")) for value in values[:-1]]
    assert shown == pytest.approx([one.score for one in contributions[:-1]], abs=0.007)
    window.keyboard.press("ArrowRight")
    expect(viewer.locator("header .small")).to_contain_text("Result 2")
    viewer.get_by_text("More like this").click()
    expect(window.locator("#results .chip")).to_contain_text("More like")
    window.get_by_role("button", name="Back", exact=True).click()
    expect(tiles).to_have_count(12)
    window.get_by_role("button", name="More results").click()
    expect(tiles).to_have_count(24)
    window.locator("h1").click()
    window.keyboard.press("/")
    assert window.evaluate("document.activeElement.id") == "text"
    search_for(window, "wug blick", "No word of the text is known to this model: wug, blick")
    search_for(window, "a dog without a lead", "“without” is not understood")
    window.locator(".chips button").first.click()
    expect(tiles).to_have_count(12)


def test_a_visitor_gives_a_picture_and_conditions(visit, url, pictures, tmp_path) -> None:
    window = visit(url)
    window.set_input_files("#picture", pictures[0])
    status = window.locator("#results .status")
    expect(status).to_contain_text("12 pictures and 12 sentences found")
    expect(window.locator("#given")).to_be_visible()
    window.get_by_text("Options").click()
    window.select_option("#filter-0", label=["dog"])
    expect(window.locator(".tile .class").first).to_have_text("dog")
    assert set(window.locator(".tile .class").all_inner_texts()) == {"dog"}
    window.select_option("#filter-0", [])
    window.fill("#count", "3")
    window.press("#count", "Tab")
    expect(window.locator(".tile")).to_have_count(3)
    window.get_by_text("Remove the picture").click()
    expect(status).to_have_text("Describe a picture, choose one, or click an example.")
    (tmp_path / "text.png").write_text("no picture")
    window.set_input_files("#picture", tmp_path / "text.png")
    expect(status).to_contain_text("This file is not a picture that your browser can read.")
    window.get_by_text("Remove the picture").click()
    window.fill("#unwanted", "a cat")
    search_for(window, "", "The query only says what to exclude")


def test_a_visitor_chooses_days_and_numbers(visit, squares_url) -> None:
    window = visit(squares_url)
    search_for(window, "a green square", "6 pictures found")
    window.get_by_text("Options").click()
    for label, value, count in (
        ("Taken from", "2021-06-03", "3 pictures"),
        ("Taken until", "2021-06-04", "2 pictures"),
        ("N at least", "2.5", "1 picture "),
        ("N at most", "2.5", "Nothing was found; remove a filter"),
        ("N at least", "", "1 picture "),
    ):
        window.get_by_label(label).fill(value)
        window.get_by_label(label).press("Tab")
        expect(window.locator("#results .status")).to_contain_text(count)


def test_a_visitor_takes_a_photo(visit, url) -> None:
    window = visit(url, script=CAMERA)
    status = window.locator("#results .status")
    take = window.get_by_role("button", name="Take a photo")
    take.click()
    window.wait_for_function("() => document.querySelector('video').videoWidth > 0")
    window.get_by_role("button", name="Cancel").click()
    expect(window.locator("#given")).to_be_hidden()
    take.click()
    window.wait_for_function("() => document.querySelector('video').videoWidth > 0")
    window.get_by_role("button", name="Take the photo").click()
    expect(status).to_contain_text("12 pictures and 12 sentences found")
    assert window.evaluate("stopped") == 2
    window.evaluate("refused = true")
    take.click()
    expect(status).to_contain_text("This page may not use the camera; allow it")


def test_pasted_and_dropped_pictures_are_searched(visit, url, pictures) -> None:
    window = visit(url)
    give = """([text, kind]) => {
        const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "one.png", { type: "image/png" }));
        document.dispatchEvent(kind === "paste"
            ? new ClipboardEvent("paste", { clipboardData: data })
            : new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    }"""
    for kind in ("paste", "drop"):
        window.evaluate(give, [base64.b64encode(pictures[0].read_bytes()).decode(), kind])
        expect(window.locator("#results .status")).to_contain_text("12 pictures and 12 sentences")
        window.get_by_text("Remove the picture").click()
        expect(window.locator(".tile")).to_have_count(0)


def test_captions_are_text_and_never_markup(visit, squares_url) -> None:
    window = visit(squares_url)
    assert window.locator("h1").inner_text() == MARKUP
    search_for(window, "a green square", "6 pictures found")
    captions = window.locator(".tile .caption").all_inner_texts()
    assert f"a green square {MARKUP}" in captions
    window.locator(".tile button.open").first.click()
    expect(window.locator("dialog h2")).to_be_visible()
    assert window.locator("img[src=x]").count() == 0
    window.get_by_label("Close").click()


def test_the_policy_stops_a_script_that_gets_in(browser, squares_url) -> None:
    window = browser.new_context().new_page()
    window.goto(squares_url)
    told = window.evaluate(
        """() => new Promise((resolve) => {
            document.addEventListener("securitypolicyviolation", (event) =>
                resolve([event.effectiveDirective, window.injected ?? null]));
            const script = document.createElement("script");
            script.textContent = "window.injected = true";
            document.head.append(script);
        })"""
    )
    assert told == ["script-src-elem", None]
    window.context.close()


def test_it_works_without_a_network_after_the_first_visit(visit, site) -> None:
    with served(site) as address:
        window = visit(address)
        search_for(window, "a red bus", "12 pictures found")
        first = window.locator(".tile img").first.get_attribute("src")
        window.wait_for_function("() => navigator.serviceWorker.controller !== null")
        kept = """async () => {
            const all = await (await caches.open((await caches.keys())[0])).keys();
            return all.filter(({ url }) => url.includes("/pictures/")).length;
        }"""
        while window.evaluate(kept) < 240:
            window.wait_for_timeout(100)
    window.reload()
    window.wait_for_selector("#loading", state="hidden")
    search_for(window, "a red bus", "12 pictures found")
    assert window.locator(".tile img").first.get_attribute("src") == first
    window.wait_for_function("() => document.querySelector('.tile img').naturalWidth > 0")
    # With the headers that the service worker adds, ONNX Runtime may use threads.
    assert window.evaluate("crossOriginIsolated")


def test_own_pictures_are_indexed_kept_and_removed(visit, url, gallery, tmp_path) -> None:
    folder = tmp_path / "holiday"
    (folder / "beach").mkdir(parents=True)
    names = {}
    for path in Pairs.included().pictures[:6]:
        names[path.stem] = folder / "beach" / path.name
        names[path.stem].write_bytes(path.read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not a picture")
    window = visit(url)
    window.get_by_role("radio", name="My pictures").check(force=True)
    expect(window.locator("#results .status")).to_contain_text("You have not added any pictures")
    window.get_by_label("Keep them in this browser").check()
    window.set_input_files("#folder", folder)
    status = window.locator("#own-status")
    expect(status).to_contain_text("6 pictures can be searched.")
    expect(status).to_contain_text("broken.png: This file is not a picture")
    search_for(window, "a green field", "6 pictures found")
    found = ask(window, "own", text="a green field")["image"]
    paths = sorted(names.values())
    (query,) = gallery.model.encode_texts(["a green field"])
    scores = gallery.model.encode_images(paths) @ query
    by_id = {hit["id"]: hit["score"] for hit in found}
    expected = {
        f"holiday/beach/{path.name}": score for path, score in zip(paths, scores, strict=True)
    }
    assert by_id == pytest.approx(expected, abs=1e-3)
    window.reload()
    window.wait_for_selector("#loading", state="hidden")
    window.get_by_role("radio", name="My pictures").check(force=True)
    expect(status).to_contain_text("6 pictures, kept in this browser.")
    search_for(window, "a green field", "6 pictures found")
    window.get_by_text("Remove my pictures").click()
    expect(status).to_contain_text("Your pictures were removed.")
    window.reload()
    window.wait_for_selector("#loading", state="hidden")
    window.get_by_role("radio", name="My pictures").check(force=True)
    expect(window.locator("#results .status")).to_contain_text("You have not added any pictures")


@pytest.mark.parametrize("fails", [False, True])
def test_webgpu_finds_the_same(browser, url, gallery, fails) -> None:
    """With a GPU that Chromium computes; one that fails is replaced by the CPU."""
    flags = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
    started = browser.browser_type.launch(executable_path=CHROMIUM, args=flags)
    # A service worker would fetch the file that is to fail, unseen by `route`.
    window = started.new_page(service_workers="block")
    if fails:
        window.route("**/ort.jspi.min.mjs", lambda route: route.abort())
    window.goto(url)
    window.wait_for_selector("#loading", state="hidden")
    paths = Pairs.included().pictures[:4]
    found = window.evaluate(
        """async (pictures) => {
            const { Encoder, hasGpu } = await import('./workers.js');
            const encoder = new Encoder(undefined, await hasGpu());
            const found = [];
            for (const text of pictures) {
                const blob = new Blob([Uint8Array.from(atob(text), (one) => one.charCodeAt(0))]);
                const { vector, provider } = await encoder.ask('picture', { blob });
                found.push({ vector: [...vector], provider });
            }
            return found;
        }""",
        [base64.b64encode(path.read_bytes()).decode() for path in paths],
    )
    started.close()
    assert {one["provider"] for one in found} == {"wasm" if fails else "webgpu"}
    cosines = np.sum(gallery.model.encode_images(paths) * [one["vector"] for one in found], axis=1)
    assert cosines.min() > 0.9999


def test_a_browser_without_simd_gets_a_sentence(visit, url) -> None:
    window = visit(url, script="WebAssembly.validate = () => false")
    expect(window.locator("#results .status")).to_contain_text("no WebAssembly with SIMD")


# ---- everybody


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_everybody_can_use_it(visit, url, pictures, width, scheme) -> None:
    """No violation that axe-core finds, and no sideways scrolling."""
    from axe_playwright_python.sync_playwright import Axe

    window = visit(url, width=width, color_scheme=scheme)

    def check(screen: str) -> None:
        window.wait_for_function(
            "() => document.getAnimations().every((a) => a.playState != 'running')"
        )
        found = Axe().run(window, options={"resultTypes": ["violations"]})
        wrong = [
            (screen, rule["id"], [node["html"][:200] for node in rule["nodes"]])
            for rule in found.response["violations"]
        ]
        assert wrong == []
        assert window.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0

    check("start")
    window.get_by_text("Options").click()
    window.set_input_files("#picture", pictures[0])
    expect(window.locator("#results .status")).to_contain_text("12 sentences")
    check("found")
    window.locator(".tile button.open").first.click()
    expect(window.locator("dialog h2")).to_be_visible()
    check("viewer")
    window.get_by_label("Close").click()
    window.get_by_role("radio", name="My pictures").check(force=True)
    check("own")
