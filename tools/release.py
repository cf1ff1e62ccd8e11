"""Check that a tag, the version of the package, CITATION.cff and the changelog name one release.

Run it as `python tools/release.py v0.2.0`, like the release workflow.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HOME = Path(__file__).parents[1]


def disagreements(tag: str, home: Path = HOME) -> list[str]:
    """Return a sentence for each file that does not name the version of the tag."""
    expected = tag.removeprefix("v")
    places = {
        "cmr_hub/version.py": r'^__version__ = "(.+)"$',
        "CITATION.cff": r"^version: (.+)$",
        "CHANGELOG.md": r"^## (\d\S*)",  # the newest release; "Unreleased" has no number
    }
    versions = {}
    for name, pattern in places.items():
        match = re.search(pattern, (home / name).read_text(encoding="utf-8"), re.MULTILINE)
        versions[name] = match[1] if match else "no version"
    return [
        f"{name} has {version}, the tag is {tag}"
        for name, version in versions.items()
        if version != expected
    ]


if __name__ == "__main__":
    sys.exit("\n".join(disagreements(sys.argv[1])) or None)
