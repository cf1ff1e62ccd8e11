"""Precision and recall of hiding unclear hits by a cut at z.

    python benchmarks/clear.py

With `sketch`, on the test split of Pascal Sentence and the validation pictures of Flickr8k (in
$CMR_DATA_HOME). A query is the name of an object, such as "a dog". A picture shows the object if
its class or one of its sentences contains one of the words below. Each object that at least five
pictures show is searched for twice: in the gallery of all pictures (present), and in the gallery
without these pictures (absent). An object of the second list that no picture shows is searched for
in the gallery of all pictures (absent). Objects that half of the pictures show are left out.

The figures of each query's first page, `Gallery.search(query, k=10, clear=Z)`:

- precision: the share of correct hits, where present and absent objects have equal weight, and so
  have the queries of each kind;
- recall: correct hits, divided by the largest possible number on the page (10, or the number of
  relevant pictures);
- nothing: the share of queries of absent objects without any hit;
- answered: the share of queries of present objects with at least one hit.

For comparison, the same figures are computed for cuts by the score alone with the same recall. The
recommended cut was chosen on the training pictures. Nothing is random. Writes `results/clear.json`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmr_hub import load
from cmr_hub.atomic import atomic_file
from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.gallery.build import build_gallery
from cmr_hub.gallery.gallery import Gallery
from cmr_hub.hit import Hit
from cmr_hub.models.cross_modal import CrossModalModel

RECOMMENDED = 2.5
CUTS = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
FEWEST, PAGE = 5, 10
SPLITS = {"pascal-sentence": ("800/200", "test"), "flickr8k": ("folders", "validation")}
OUT = Path("results/clear.json")
# The words of each thing, without plurals in s; "name: class" where a class is called otherwise.
THINGS = """
a dog: dog puppy puppies poodle retriever terrier greyhound dachshund collie labrador
snow: snow snowy
a beach: beach
a bicycle: bicycle bike biker cyclist bicyclist bmx
a horse: horse pony
a football player: football soccer
basketball: basketball
tennis: tennis
baseball: baseball
a skateboard: skateboard skateboarder skateboarding skater
a surfer: surf surfer surfing surfboard
skiing: ski skier skiing snowboard snowboarder snowboarding
a swimming pool: pool
a car: car automobile suv sedan truck van
a boat: boat canoe kayak kayaker ship sailboat raft ferry yacht rowboat
a motorbike: motorbike motorcycle motorcyclist dirtbike
a mountain: mountain
a climber: climb climber climbing
a bird: bird duck seagull pigeon goose geese parrot owl eagle swan hawk
a bench: bench benches
a baby: baby babies infant
a guitar: guitar
a frisbee: frisbee
a swing: swing swinging
a fountain: fountain
an umbrella: umbrella
a cat: cat kitten
a cow: cow cattle bull calf
sheep: sheep lamb ram
a train: train locomotive railroad railway
a bus: bus buses busses
flowers: flower
a tent: tent
a bridge: bridge
hockey: hockey
a trampoline: trampoline
a bottle: bottle
a chair: chair armchair
a sofa: sofa couch couches loveseat
a television: television tv tvmonitor monitor screen computer
an airplane: airplane aeroplane plane jet airliner aircraft biplane
a potted plant: pottedplant plant potted flower pot
a dining table: diningtable table dining
"""
OTHERS = """
a lion, an elephant, a giraffe, a zebra, a bear, a tiger, a penguin, a snake, a butterfly, a
turtle, a birthday cake, a pizza, a castle, a lighthouse, a piano, a violin, a helicopter, a
tractor, a church, a wedding, fireworks, a rainbow, a desert, a waterfall, a bathtub, a washing
machine, a clock, a map, a keyboard, a telephone, a newspaper, an astronaut, a rocket, a
submarine, a volcano, a palm tree, sunflowers, mushrooms, a spider, a frog, a monkey, a
windmill, a skyscraper, a bowl of soup, a sandwich, an apple, a mirror, a wardrobe
"""


@dataclass(frozen=True, eq=False)
class Asked:
    """One query of a gallery.

    Attributes:
        hits: first hits of the ranking, without a cut.
        right: ids of the pictures that show the object; empty if it is absent.
        gallery: gallery to search with a cut.
    """

    query: str
    hits: list[Hit]
    right: frozenset[str]
    gallery: Gallery

    def page(self, clear: float) -> list[Hit]:
        """Return the first page with a cut."""
        return self.gallery.search(self.query, PAGE, "image", clear=clear)


def words_of(query: str) -> frozenset[str]:
    """Return a query for an object of the second list."""
    return frozenset(re.findall("[a-z]+", query)) - {"a", "an", "of"}


def asked(model: CrossModalModel, dataset: PairDataset) -> Iterator[Asked]:
    """Return all queries of a dataset."""
    whole = build_gallery(model, dataset, progress=True)
    vectors = whole.vectors("image")
    said = [_said(dataset, row) for row in range(len(dataset))]
    lines = [line.partition(": ") for line in THINGS.strip().splitlines()]
    things = {name: frozenset(words.split()) for name, _, words in lines}
    others = [other.strip() for other in OTHERS.replace("\n", " ").split(",")]
    for query, words in (things | {other: words_of(other) for other in others}).items():
        if not model.text.knows((query,)):
            continue
        shows = np.array([bool(words & own) for own in said])
        if shows.mean() > 0.5:
            continue
        if shows.sum() >= FEWEST and query in things:
            right = frozenset(np.array(dataset.ids)[shows])
            yield Asked(query, whole.search(query, PAGE, "image"), right, whole)
        elif query not in things and shows.any():
            continue
        without = whole
        if shows.any():
            left = np.flatnonzero(~shows)
            items = whole.items.take(left)
            without = Gallery(type(whole.store)(whole.model_id), model)
            without.store.keep_neutral(whole.store.neutral)
            without.add_vectors(items, image_embeddings=vectors[left])
        yield Asked(query, without.search(query, PAGE, "image"), frozenset(), without)


def _said(dataset: PairDataset, row: int) -> frozenset[str]:
    """Return the words in the sentences and the class of a picture, also without plural s."""
    text = " ".join((*dataset.sentences[row], dataset.label_name(row) or "")).lower()
    words = set(re.findall("[a-z]+", text))
    return frozenset(words | {word.removesuffix("s") for word in words})


def row(queries: Sequence[Asked], pages: Sequence[Sequence[Hit]]) -> dict[str, float]:
    """Return the figures of these first pages; see above."""
    right = {True: [], False: []}
    hits = {True: [], False: []}
    possible = []
    for one, page in zip(queries, pages, strict=True):
        is_there = bool(one.right)
        right[is_there].append(sum(hit.id in one.right for hit in page))
        hits[is_there].append(len(page))
        if is_there:
            possible.append(min(PAGE, len(one.right)))
    all_right, shown = np.mean(right[True]), np.mean(hits[True]) + np.mean(hits[False])
    figures = {
        "precision": all_right / shown if shown else 1.0,
        "recall": all_right / np.mean(possible),
        "nothing": np.mean(np.array(hits[False]) == 0),
        "answered": np.mean(np.array(hits[True]) > 0),
    }
    return {name: round(float(value), 4) for name, value in figures.items()}


def by_score(queries: Sequence[Asked], recall: float) -> dict[str, float]:
    """Return the row of the highest cut by score with at least this recall."""
    scores = sorted({hit.score for one in queries for hit in one.hits if hit.id in one.right})
    low, high = 0, len(scores) - 1

    def at(place: int) -> dict[str, float]:
        least = scores[place]
        pages = [[hit for hit in one.hits if hit.score >= least] for one in queries]
        return {"least_score": round(least, 4), **row(queries, pages)}

    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if at(middle)["recall"] >= recall else (low, middle - 1)
    return at(low)


def measured(model: CrossModalModel, name: str, protocol: str, split: str) -> dict[str, object]:
    """Return all figures of a dataset."""
    dataset = load_dataset(name, protocol=protocol)
    part = dataset.subset(dataset.splits == split)
    queries = list(asked(model, part))
    cuts = {}
    for cut in CUTS:
        ours = row(queries, [one.page(cut) for one in queries])
        cuts[str(cut)] = {**ours, "by_score": by_score(queries, ours["recall"])}
        print(name, split, cut, cuts[str(cut)], flush=True)
    return {
        "protocol": protocol,
        "split": split,
        "pictures": len(part),
        "there": sum(bool(one.right) for one in queries),
        "not_there": sum(not one.right for one in queries),
        "no_cut": row(queries, [one.hits for one in queries]),
        "cuts": cuts,
    }


def main() -> None:
    if sys.argv[1:]:  # of another split, or another model: to choose with, not to report
        model, split = load(sys.argv[1]), sys.argv[2]
        for name, (protocol, _) in SPLITS.items():
            measured(model, name, protocol, split)
        return
    model = load("sketch")
    found = {name: measured(model, name, *split) for name, split in SPLITS.items()}
    report = {"model": "sketch", "page": PAGE, "recommended": RECOMMENDED, "datasets": found}
    with atomic_file(OUT) as file:
        file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
