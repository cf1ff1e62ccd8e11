"""The page of pretrained models matches the catalogue of the package."""

from __future__ import annotations

import re
import tomllib

from documents import text_of

PAGE = text_of("docs/models.md")
CATALOGUE = tomllib.loads(text_of("cmr_hub/models/catalogue.toml"))


def share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def recall(name: str, dataset: str) -> float:
    (found,) = (
        figure["value"]
        for figure in CATALOGUE[name]["figures"]
        if (figure["dataset"], figure["metric"]) == (dataset, "recall@1")
        and figure["direction"] == "text to image"
    )
    return found


def test_the_table() -> None:
    expected = []
    for name, entry in CATALOGUE.items():
        count = entry["download"]["value"]
        size = f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
        languages = entry.get("languages", {}).get("value", "not stated")
        cells = [f"`{name}`", entry["purpose"], size, str(entry["dimension"]["value"])]
        cells += [languages, entry["licence"]["value"], share(recall(name, "COCO"))]
        expected.append(f"| {' | '.join(cells)} |")
    assert [line for line in PAGE.splitlines() if line.startswith("| `")] == expected


def test_over_many_languages() -> None:
    said = [
        f"{share(recall(name, 'Crossmodal-3600'))} for `{name}`"
        for name in ("siglip", "siglip2", "siglip2-so400m", "multilingual")
    ]
    sentence = f"Recall@1 is {', '.join(said[:-1])} and {said[-1]}."
    assert sentence in " ".join(PAGE.split())


def test_before_the_test_split() -> None:
    of_all = [
        figure["value"]
        for figure in CATALOGUE["clip"]["figures"]
        if figure["dataset"] == "Flickr8k"
    ]
    first, second = map(share, of_all)
    assert re.search(rf"{re.escape(first)} and {re.escape(second)}\.$", PAGE.strip())


def test_repositories_that_are_named() -> None:
    assert CATALOGUE["siglip2"]["repository"] in PAGE
    assert CATALOGUE["clip"]["repository"] in PAGE
