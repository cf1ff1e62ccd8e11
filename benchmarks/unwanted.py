r"""Searches with an unwanted text: how well they exclude it and keep wanted pictures.

    cmr train pascal-sentence --image-weights mobilenet_v2.safetensors --text-encoder sentence \
        --preset infonce --out runs/pascal-infonce
    python benchmarks/unwanted.py sketch runs/pascal-infonce

On Pascal Sentence (in $CMR_DATA_HOME), with three kinds of queries:

- kind: "an animal" without "a cow": relevant are pictures of the other animals;
- detail: "a dog" without "grass", for details that one to four fifths of the class's sentences
  name: relevant are pictures of the class whose sentences do not name the detail;
- other: "a dog" without "a car", of another class: relevant are pictures of the class.

The figures are the shares of the first ten pictures that are relevant, unwanted, and neither, as
means over the queries. The wanted text alone, a plain difference of the unit vectors, w - a u, and
a `Mix`, which keeps what both texts share (`cmr_hub.gallery.query.mixed`), are compared, with
several weights a.

The default weight was chosen on the training pictures (`--train MODEL`; writes nothing), with the
same encoders and preset trained on Flickr8k, not with `sketch`, which was trained on these
pictures. Nothing is random. Writes `results/unwanted.json`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cmr_hub import load
from cmr_hub.atomic import atomic_file
from cmr_hub.datasets import load_dataset
from cmr_hub.datasets.pairs import PairDataset
from cmr_hub.encoders.feature_cache import FeatureCache
from cmr_hub.gallery.query import UNWANTED_WEIGHT, mixed, unit_rows

PAGE = 10
WEIGHTS = (0.2, 0.3, 0.4, 0.5, 0.7)
OUT = Path("results/unwanted.json")
# Classes of each kind, by their names in captions.
KINDS = {
    ("an animal", "an animal in a field"): {
        "a bird": "bird",
        "a cat": "cat",
        "a cow": "cow",
        "a dog": "dog",
        "a horse": "horse",
        "a sheep": "sheep",
    },
    ("a vehicle", "a vehicle outdoors"): {
        "an airplane": "aeroplane",
        "a bicycle": "bicycle",
        "a boat": "boat",
        "a bus": "bus",
        "a car": "car",
        "a motorbike": "motorbike",
        "a train": "train",
    },
    ("furniture", "something in a living room"): {
        "a bottle": "bottle",
        "a chair": "chair",
        "a dining table": "diningtable",
        "a potted plant": "pottedplant",
        "a sofa": "sofa",
        "a television": "tvmonitor",
    },
}
# Details, and the words of a sentence that name one, without plurals in s.
DETAILS = {
    "grass": "grass grassy field pasture lawn",
    "people": "people person man men woman women boy girl child children rider",
    "water": "water lake river sea ocean beach pond harbor",
    "a street": "street road city",
    "snow": "snow snowy",
    "trees": "tree forest wood",
    "a window": "window",
    "a table": "table desk",
}
Form = Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Asked:
    """One query.

    Attributes:
        kind: one of the three kinds.
        wanted, unwanted: texts of the query.
        fits, spoils: (N,) masks of the pictures that show the wanted and the unwanted object.
    """

    kind: str
    wanted: str
    unwanted: str
    fits: npt.NDArray[np.bool_]
    spoils: npt.NDArray[np.bool_]


def asked(dataset: PairDataset) -> Iterator[Asked]:
    """Return all queries."""
    labels = np.array([dataset.label_name(row) for row in range(len(dataset))])
    said = []
    for sentences in dataset.sentences:
        words = set(re.findall("[a-z]+", " ".join(sentences).lower()))
        said.append(words | {word.removesuffix("s") for word in words})
    names = {}
    for texts, classes in KINDS.items():
        kind = np.isin(labels, list(classes.values()))
        names |= classes
        for wanted in texts:
            for unwanted, label in classes.items():
                yield Asked("kind", wanted, unwanted, kind, labels == label)
    for wanted, label in names.items():
        for detail, words in DETAILS.items():
            shows = np.array([not own.isdisjoint(words.split()) for own in said])
            if 0.2 <= shows[labels == label].mean() <= 0.8:
                yield Asked("detail", wanted, detail, labels == label, shows)
    kinds = list(KINDS.values())
    for here, there in zip(kinds, kinds[1:] + kinds[:1], strict=True):
        for (wanted, label), (unwanted, other) in zip(here.items(), there.items(), strict=False):
            yield Asked("other", wanted, unwanted, labels == label, labels == other)


def row(
    queries: list[Asked],
    pictures: npt.NDArray[np.float64],
    texts: dict[str, npt.NDArray[np.float64]],
    form: Form,
) -> dict[str, dict[str, float]]:
    """Return the three shares for each kind of queries, with the vectors of a form."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for one in queries:
        vector = form(texts[one.wanted], texts[one.unwanted])
        first = np.argsort(-(pictures @ vector), kind="stable")[:PAGE]
        fits, spoils = one.fits[first], one.spoils[first]
        shares = (fits & ~spoils).mean(), spoils.mean(), (~fits & ~spoils).mean()
        found.setdefault(one.kind, []).append(shares)
    return {
        kind: {
            name: round(float(share), 4)
            for name, share in zip(
                ("right", "unwanted", "neither"), np.mean(shares, axis=0), strict=True
            )
        }
        for kind, shares in found.items()
    }


def difference(weight: float) -> Form:
    """Return the plain difference of unit vectors."""
    return lambda wanted, unwanted: unit_rows([wanted - weight * unwanted])[0]


def ours(weight: float) -> Form:
    """Return the vector of a `Mix`."""
    return lambda wanted, unwanted: unit_rows([mixed((1, -weight), (wanted, unwanted))])[0]


def measured(name: str, part: PairDataset) -> dict[str, object]:
    """Return all figures of a model."""
    model = load(name)
    pictures = model.image.encode(
        [path for path in part.images if path is not None], cache=FeatureCache(), progress=True
    ).astype(np.float64)
    queries = list(asked(part))
    said = sorted({text for one in queries for text in (one.wanted, one.unwanted)})
    texts = dict(zip(said, model.encode_texts(said).astype(np.float64), strict=True))
    forms = {"wanted alone": lambda wanted, unwanted: wanted}
    forms |= {f"difference {weight}": difference(weight) for weight in WEIGHTS}
    forms |= {f"mix {weight}": ours(weight) for weight in WEIGHTS}
    found = {title: row(queries, pictures, texts, form) for title, form in forms.items()}
    for title, kinds in found.items():
        print(title, *(f"{kind}: {list(own.values())}" for kind, own in kinds.items()), sep="\t")
    counts = {kind: sum(one.kind == kind for one in queries) for kind in found["wanted alone"]}
    return {"pictures": len(part), "queries": counts, "forms": found}


def main() -> None:
    names = [name for name in sys.argv[1:] if name != "--train"] or ["sketch"]
    to_choose = "--train" in sys.argv[1:]
    dataset = load_dataset("pascal-sentence", protocol="800/200")
    part = dataset.subset(dataset.splits == ("train" if to_choose else "test"))
    models = {Path(name).name: measured(name, part) for name in names}
    if to_choose:
        return
    report = {"page": PAGE, "default_weight": UNWANTED_WEIGHT, "models": models}
    with atomic_file(OUT) as file:
        file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
