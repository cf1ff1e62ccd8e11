"""The bill of materials is valid CycloneDX and says what the locks say."""

import json

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from cmr_hub.version import __version__
from tools.licences import recorded
from tools.locked import CUDA, RUN, read
from tools.sbom import SBOM

TEXT = SBOM.read_text(encoding="utf-8")
FOUND = json.loads(TEXT)


def purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def test_valid():
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(TEXT) is None


def test_of_this_version():
    root = FOUND["metadata"]["component"]
    assert (root["name"], root["version"]) == ("cmr-hub", __version__), "run make sbom"
    assert root["licenses"] == [{"license": {"id": "Apache-2.0"}}]


def test_components_are_those_of_the_locks():
    found = {each["purl"]: each["scope"] for each in FOUND["components"]}
    wanted = {purl(entry.name, entry.version): "required" for entry in read(RUN)}
    wanted |= {purl(entry.name, entry.version): "optional" for entry in read(CUDA)}
    assert found == wanted, "run make sbom"


def test_licences_are_those_of_the_list():
    licences = recorded()
    for each in FOUND["components"]:
        (said,) = each["licenses"]
        text = said.get("expression") or next(iter(said["license"].values()))
        assert text == licences[each["name"], each["version"]]


def test_the_graph_is_that_of_the_locks():
    found = {each["ref"]: set(each.get("dependsOn", ())) for each in FOUND["dependencies"]}
    entries = read(RUN, CUDA)
    refs = {entry.name: purl(entry.name, entry.version) for entry in entries}
    refs["-r requirements.txt"] = purl("cmr-hub", __version__)
    wanted = {ref: set() for ref in refs.values()}
    for entry in entries:
        for who in entry.needed_by:
            wanted[refs[who]].add(refs[entry.name])
    assert found == wanted


def test_no_place_is_named():
    assert "file:" not in TEXT
    assert "simple/" not in TEXT
