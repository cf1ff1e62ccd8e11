"""Every figure of the README stands in `results/`, and it stays short."""

from pathlib import Path

import pytest
from shown import default_rows

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("row", default_rows("photos.json"))
def test_the_default(row):
    assert row in README


def test_how_many_methods():
    from cmr_hub.baselines import BASELINES
    from cmr_hub.losses import LOSSES

    assert f"{len(LOSSES)} losses and {len(BASELINES)}" in " ".join(README.split())


def test_a_front_page_is_read_in_a_minute():
    assert len(README.splitlines()) <= 100
