"""A release has one number."""

import re

from cmr_hub import __version__
from tools.release import HOME, disagreements


def test_a_tag_that_agrees(tmp_path):
    for name in ("cmr_hub/version.py", "CITATION.cff", "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        text = (HOME / name).read_text(encoding="utf-8")
        newer = re.sub(
            rf"^(__version__ = \"|version: |## ){re.escape(__version__)}",
            r"\g<1>9.8.7",
            text,
            flags=re.M,
        )
        (tmp_path / name).write_text(newer, encoding="utf-8")
    assert disagreements("v9.8.7", tmp_path) == []
    (tmp_path / "CITATION.cff").write_text("version: 1.0.0\n")
    assert disagreements("v9.8.7", tmp_path) == ["CITATION.cff has 1.0.0, the tag is v9.8.7"]


def test_the_files_of_now_agree():
    assert disagreements(f"v{__version__}") == []
