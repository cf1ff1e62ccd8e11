"""The lock files: whole, with hashes, and what the requirements say."""

import re
import tomllib

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pip_requirements_parser import RequirementsFile

from tools.locked import CPU, CUDA, DEV, HOME, RUN, parse, read

LOCKS = (RUN, CUDA, DEV)
TARGETS = [
    {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
]


def requirements(name: str) -> list[Requirement]:
    lines = (HOME / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and line[0] not in "#-"]


def pins(*paths) -> dict[str, str]:
    return {entry.name: entry.version for entry in read(*paths)}


@pytest.mark.parametrize("path", [*LOCKS, CPU], ids=lambda path: path.name)
def test_an_independent_reader_finds_the_same(path):
    found = {
        (canonicalize_name(each.name), each.get_pinned_version): sorted(each.hash_options)
        for each in RequirementsFile.from_file(path, include_nested=False).requirements
    }
    ours = {(entry.name, entry.version): sorted(entry.hashes) for entry in read(path)}
    assert ours
    assert found == ours


@pytest.mark.parametrize("path", [*LOCKS, CPU], ids=lambda path: path.name)
def test_each_entry_is_whole(path):
    for entry in read(path):
        assert entry.hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in entry.hashes), entry
        assert entry.needed_by, entry
        assert not entry.requirement.url, entry


@pytest.mark.parametrize("path", [*LOCKS, CPU], ids=lambda path: path.name)
def test_no_line_names_a_place(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|file:|--index|--find-links|--extra|(^|\s)/", text)


@pytest.mark.parametrize(
    ("lock", "file"), [((RUN,), "requirements.txt"), ((RUN, DEV), "requirements-dev.txt")]
)
def test_requirements_are_locked(lock, file):
    locked = {entry.name: entry for entry in read(*lock)}
    for wanted in requirements(file):
        entry = locked[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(entry.version), wanted
        assert f"-r {file}" in entry.needed_by, f"{wanted}: run make lock"
        for target in TARGETS:  # a marker may be written in many ways
            environment = {**default_environment(), **target}
            if wanted.marker is None or wanted.marker.evaluate(environment):
                assert entry.requirement.marker is None or entry.requirement.marker.evaluate(
                    environment
                )


@pytest.mark.parametrize(
    ("lock", "file"), [((RUN,), "requirements.txt"), ((RUN, DEV), "requirements-dev.txt")]
)
def test_nothing_is_locked_that_nothing_asks_for(lock, file):
    asked = {canonicalize_name(each.name) for each in requirements(file)}
    direct = {entry.name for entry in read(*lock) if f"-r {file}" in entry.needed_by}
    assert direct == asked


@pytest.mark.parametrize("paths", [(RUN, CUDA), LOCKS], ids=["run", "all"])
def test_who_needs_a_package_is_locked_too(paths):
    names = set(pins(*paths))
    for entry in read(*paths):
        for who in entry.needed_by:
            assert who.startswith("-r ") or canonicalize_name(who) in names, (entry, who)


def test_ranges_of_the_package_hold_what_is_locked():
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    ranges = [Requirement(text) for text in project["dependencies"] + extras]
    locked = pins(*LOCKS)
    for wanted in ranges:
        if wanted.name == "cmr-hub":
            continue
        version = locked[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"{wanted} is locked at {version}"


def test_only_torch_needs_what_is_for_cuda():
    cuda = set(pins(CUDA))
    others = read(RUN, DEV)
    for entry in read(CUDA):
        assert set(entry.needed_by) <= cuda | {"torch"}, entry
        marker = entry.requirement.marker
        assert marker is not None, entry
        for target in TARGETS[1:]:
            assert not marker.evaluate({**default_environment(), **target}), entry
    assert not cuda & {entry.name for entry in others}


def test_the_build_without_cuda_is_of_the_same_version():
    assert pins(CPU) == {"torch": f"{pins(RUN)['torch']}+cpu"}


def test_what_builds_the_package_is_locked():
    """The Makefile installs the clone with --no-build-isolation."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))
    (needed,) = project["build-system"]["requires"]
    assert Requirement(needed).specifier.contains(pins(RUN)["setuptools"])


def test_wrong_locks_are_refused():
    with pytest.raises(ValueError, match="torch>=2 is not pinned"):
        parse("torch>=2\n")
    with pytest.raises(ValueError, match=r"torch==2\.\* is not pinned"):
        parse("torch==2.*\n")


def test_written_entries_are_read_again():
    text = (
        "a==1 ; sys_platform == 'win32' \\\n    --hash=sha256:0\n    # via\n    #   b\n    #   c\n"
    )
    (entry,) = parse(text)
    assert parse(str(entry)) == [entry]
    assert (entry.name, entry.version, entry.needed_by) == ("a", "1", ("b", "c"))
    assert entry.hashes == ("sha256:0",)
