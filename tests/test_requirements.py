"""The lock file, the requirements of a Space and the Makefile agree."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOME = Path(__file__).parents[1]
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = tomllib.loads((HOME / "uv.lock").read_text(encoding="utf-8"))["package"]
LOCKED = {one["name"]: one["version"] for one in PACKAGES if "version" in one}
MAKEFILE = (HOME / "Makefile").read_text(encoding="utf-8")


def lines() -> list[Requirement]:
    text = (HOME / "requirements.txt").read_text(encoding="utf-8")
    return [Requirement(line) for line in text.splitlines() if not line.startswith("#")]


def test_the_requirements_are_as_locked():
    found = {canonicalize_name(one.name): str(one.specifier) for one in lines()}
    assert found == {name: f"=={LOCKED[name]}" for name in found}


def test_the_requirements_are_those_of_the_package_and_of_what_make_installs():
    ((extras),) = re.findall(r"^RUN := .*,([a-z ]+)\)$", MAKEFILE, re.MULTILINE)
    wanted = PROJECT["dependencies"] + [
        text for extra in extras.split() for text in PROJECT["optional-dependencies"][extra]
    ]
    names = {canonicalize_name(Requirement(text).name) for text in wanted}
    assert {canonicalize_name(one.name) for one in lines()} == names


def test_the_build_without_cuda_is_of_the_locked_version():
    (version,) = re.findall(r"^CPU_TORCH := torch==([0-9.]+)\+cpu --hash=sha256:[0-9a-f]{64}$",
                            MAKEFILE, re.MULTILINE)  # fmt: skip
    assert version == LOCKED["torch"]


def test_only_torch_needs_what_is_left_out_beside_that_build():
    ((pattern),) = re.findall(r's/\^name = "\((.*)\)"\$\$/--prune', MAKEFILE)
    cuda = {name for name in LOCKED if re.fullmatch(pattern, name)}
    assert cuda
    for package in PACKAGES:
        needs = {one["name"] for one in package.get("dependencies", ())}
        assert not needs & cuda or package["name"] in cuda | {"torch"}, package["name"]


def test_the_lock_names_public_places_only():
    text = (HOME / "uv.lock").read_text(encoding="utf-8")
    places = set(re.findall(r"[a-z]+://[^/\"]*", text))
    assert places == {"https://pypi.org", "https://files.pythonhosted.org"}
    assert "path = " not in text
