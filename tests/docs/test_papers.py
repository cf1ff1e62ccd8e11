"""The licence, the citation file and the changelog are consistent."""

from __future__ import annotations

import datetime
import hashlib
import re
import tomllib

import yaml
from documents import HOME, text_of

from cmr_hub import __version__


def test_the_licence_is_the_whole_apache_2() -> None:
    # SHA-256 of https://www.apache.org/licenses/LICENSE-2.0.txt
    expected = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    assert hashlib.sha256((HOME / "LICENSE").read_bytes()).hexdigest() == expected
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    assert project["license"] == "Apache-2.0"


def test_citation() -> None:
    found = yaml.safe_load(text_of("CITATION.cff"))
    # Required by the schema of version 1.2.0.
    assert {"cff-version", "message", "title", "authors"} <= found.keys()
    assert found["cff-version"] == "1.2.0"
    assert found["version"] == __version__
    assert found["license"] == "Apache-2.0"
    assert isinstance(found["date-released"], datetime.date)
    assert found["authors"] == [{"name": "CMR Hub contributors"}]
    assert found["references"][0]["doi"] == "10.1145/3123266.3123326"


def test_changes() -> None:
    headings = re.findall(r"^## (.*)$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    released = [re.fullmatch(r"(\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)", line) for line in headings[1:]]
    assert all(released)
    assert released[0][1] == __version__
    cited = yaml.safe_load(text_of("CITATION.cff"))["date-released"]
    assert released[0][2] == cited.isoformat()
