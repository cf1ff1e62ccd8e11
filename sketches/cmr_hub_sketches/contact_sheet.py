"""Draw an overview of all classes: `python -m cmr_hub_sketches.contact_sheet PNG`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from cmr_hub.atomic import atomic_file
from cmr_hub_sketches.compose import make_scene
from cmr_hub_sketches.draw import draw
from cmr_hub_sketches.objects import CLASSES

_WIDTH, _HEIGHT = 144, 108
_GAP, _TITLE = 6, 20
_PER_CLASS = 5
_BLOCKS = 2


def save_contact_sheet(path: str | Path) -> None:
    """Draw five pictures of every class below its name, as one PNG of 1536 × 1346 pixels.

    Raises:
        OSError: the file cannot be written.
    """
    from PIL import Image, ImageDraw, ImageFont

    block = _PER_CLASS * (_WIDTH + _GAP) + 3 * _GAP
    line = _TITLE + _HEIGHT + _GAP
    rows = len(CLASSES) // _BLOCKS
    sheet = Image.new("RGB", (_BLOCKS * block, rows * line + _GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for index, label in enumerate(tqdm(CLASSES, desc="drawing classes", unit="", disable=None)):
        left = 2 * _GAP + index // rows * block
        top = _GAP + index % rows * line
        pen.text((left, top), label, fill=(60, 64, 72), font=font)
        for number in range(_PER_CLASS):
            picture = draw(make_scene(number, label), _WIDTH)
            sheet.paste(picture, (left + number * (_WIDTH + _GAP), top + _TITLE - 2))
    with atomic_file(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def main(
    path: Annotated[Path, typer.Argument(metavar="PNG", help="The file to write.")],
) -> None:
    """Draw an overview of all classes."""
    save_contact_sheet(path)
    print(f"The overview is in {path}.")


if __name__ == "__main__":
    typer.run(main)
