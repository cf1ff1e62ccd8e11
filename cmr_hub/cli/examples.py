"""Examples in the help of every command, which the tests run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import typer
from typer.models import CommandInfo

EXAMPLES: Final = {
    "data show": (
        "cmr data",
        "cmr data pascal-sentence --protocol 800/100/100",
        "cmr data folder --root ~/Pictures/pets",
    ),
    "data get": (
        "cmr data get wikipedia --to ~/data/wikipedia",
        "cmr data get pascal-sentence --to ~/data/pascal-sentence",
        "cmr data get coco",
    ),
    "train": (
        "cmr train pascal-sentence --out runs/pascal",
        "cmr train folder --root ~/Pictures/pets --out runs/pets --epochs 2",
        "cmr train flickr8k pascal-sentence sketches:6000/1000 --out runs/captions",
    ),
    "evaluate": (
        "cmr evaluate runs/pascal --json",
        "cmr evaluate runs/pascal --dataset flickr8k --split validation",
        "cmr evaluate runs/pets --root ~/Pictures/pets --trec rankings",
    ),
    "ablate": (
        "cmr ablate grids/study.toml --dry-run",
        "cmr ablate grids/study.toml --results results --workers 2",
        "cmr ablate grids/study.toml --image-weights mobilenet_v2=mobilenet_v2.safetensors",
    ),
    "report": (
        "cmr report",
        "cmr report --results my-results",
        "cmr report --results ~/study/results",
    ),
    "models": (
        "cmr models",
        "cmr models siglip2",
        "cmr models --measure clip siglip2 --threads 4",
    ),
    "index": (
        "cmr index ~/Pictures --out gallery",
        "cmr index ~/Pictures --out gallery --metadata annotations.json --exclude thumbs/",
        "cmr index /shared/pictures --cluster ray --engine milvus --uri http://host:19530",
    ),
    "label": (
        "cmr label gallery --names names.txt",
        "cmr label gallery --names names.txt --template 'a drawing of {}' --column drawing",
        "cmr label gallery --names names.txt --min-probability 0.5",
    ),
    "search": (
        'cmr search gallery "two dogs on a beach" --where "year >= 2020"',
        'cmr search gallery --image dog.jpg "at night" --weight 0.5 --html hits.html',
        'cmr search gallery "an animal in a field" --without "a cow" -k 100 --paths',
    ),
    "demo": (
        "cmr demo",
        "cmr demo --gallery gallery --port 7860",
        "cmr demo runs/pascal --compare runs/other",
    ),
    "dashboard": (
        "cmr dashboard",
        "cmr dashboard --model runs --model gallery",
        "cmr dashboard --results my-results --port 8502",
    ),
    "publish": (
        "cmr publish runs/best --repo user/cmr-pascal --dry-run",
        "cmr publish runs/best --repo user/cmr-pascal --private --space",
        "cmr publish runs/best --card-only",
    ),
    "doctor": (
        "cmr doctor",
        "cmr doctor --json",
        "cmr doctor --json > doctor.json",
    ),
    "gallery info": (
        "cmr gallery info gallery",
        "cmr gallery info runs/pets/gallery",
        "cmr gallery info http://host:19530/pets",
    ),
    "gallery verify": (
        "cmr gallery verify gallery",
        "cmr gallery verify runs/pets/gallery",
        "cmr gallery verify http://host:19530/pets",
    ),
    "gallery compact": (
        "cmr gallery compact gallery",
        "cmr gallery compact runs/pets/gallery",
        "cmr gallery compact http://host:19530/pets",
    ),
    "gallery remove": (
        "cmr gallery remove gallery --where \"folder LIKE 'old%'\"",
        "cmr gallery remove gallery 3f2a9c dog_000012",
        'cmr gallery remove http://host:19530/pets --where "year < 2000"',
    ),
    "gallery duplicates": (
        "cmr gallery duplicates gallery",
        "cmr gallery duplicates gallery --kind same-picture --json",
        "cmr gallery duplicates gallery --alike 0.9 --contact-sheet duplicates.html",
    ),
    "gallery export": (
        "cmr gallery export gallery --out gallery.parquet",
        "cmr gallery export gallery --out gallery.csv --where \"label = 'dog'\"",
        "cmr gallery export gallery --out for-fiftyone --format fiftyone",
    ),
    "gallery import": (
        "cmr gallery import gallery.parquet --out copy --model photos",
        "cmr gallery import vectors.npy --ids ids.txt --out copy --model photos",
        "cmr gallery import pictures.lance --out copy --model runs/pets",
    ),
    "space build": (
        "cmr space build space",
        "cmr space build space --model runs/pets",
        "cmr space build space --model user/cmr-pascal --revision v1",
    ),
    "space dashboard": (
        "cmr space dashboard dashboard-space",
        "cmr space dashboard dashboard-space --results my-results",
        "cmr space dashboard /tmp/dashboard-space",
    ),
    "space static": (
        "cmr space static gallery --out site --allow-download",
        "cmr space static photos --out site --title 'My pictures'",
        "cmr space static gallery --out site --int8",
    ),
    "space onnx": (
        "cmr space onnx photos --out photos-onnx",
        "cmr space onnx photos --out photos-onnx --int8",
        "cmr space onnx runs/pets --out pets-onnx",
    ),
}


def add_examples(app: typer.Typer) -> None:
    """Add examples to the help of each command."""
    for name, info in commands(app):
        info.epilog = "Examples:\n\n" + "\n\n".join(f"`{one}`" for one in EXAMPLES[name])


def commands(app: typer.Typer, group: str = "") -> Iterator[tuple[str, CommandInfo]]:
    """Yield each command with its full name, e.g. `gallery info`."""
    for info in app.registered_commands:
        own = info.name or getattr(info.callback, "__name__", "").replace("_", "-")
        yield f"{group}{own}", info
    for inner in app.registered_groups:
        if inner.typer_instance is not None:
            yield from commands(inner.typer_instance, f"{inner.name} ")
