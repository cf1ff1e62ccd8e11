"""Every locked package has a licence that lets Apache-2.0 code use it."""

import pytest
from license_expression import get_spdx_licensing
from packaging.utils import canonicalize_name

from tools import licences
from tools.licences import READ, is_spdx, licence, recorded
from tools.locked import CUDA, DEV, RUN, read

# Notices to keep and nothing more.
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause"),
    *("BSL-1.0", "CC0-1.0", "CNRI-Python", "HPND", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0"),
    *("Unlicense", "Zlib"),
}
# Changes to the package itself stay under its licence; what only imports it does not.
WEAK = {"LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-or-later", "MPL-2.0"}
# Free of charge, and not free software: the user fetches it, nobody else may pass it on.
PROPRIETARY = {"LicenseRef-NVIDIA-Proprietary"}
SPDX = get_spdx_licensing()


def allowed(text: str, licences: set[str]) -> bool:
    """Whether an SPDX expression can be met with these licences alone."""

    def met(node) -> bool:
        if isinstance(node, SPDX.AND):
            return all(map(met, node.args))
        if isinstance(node, SPDX.OR):
            return any(map(met, node.args))
        return node.render() in licences

    return met(SPDX.parse(text))


def test_the_judge():
    assert allowed("MIT OR GPL-3.0-only", PERMISSIVE)
    assert not allowed("MIT AND GPL-3.0-only", PERMISSIVE)
    assert allowed("Apache-2.0 WITH LLVM-exception AND (MIT OR GPL-3.0-only)", PERMISSIVE)
    assert not allowed("LGPL-2.1-only", PERMISSIVE)


def test_the_list_is_of_the_locks():
    locked = {(entry.name, entry.version) for entry in read(RUN, CUDA, DEV)}
    assert set(recorded()) == locked, "run make licences"


@pytest.mark.parametrize(
    ("paths", "licences"),
    [((RUN,), PERMISSIVE | WEAK), ((CUDA,), PERMISSIVE | PROPRIETARY), ((DEV,), PERMISSIVE | WEAK)],
    ids=["run", "cuda", "dev"],
)
def test_compatible(paths, licences):
    found = recorded()
    for entry in read(*paths):
        assert allowed(found[entry.name, entry.version], licences), entry.requirement


def test_what_is_not_permissive_is_told():
    text = licences.THIRD_PARTY.read_text(encoding="utf-8")
    plain = text[: text.index("## What the package runs with")]
    for (name, _), said in recorded().items():
        if name in {entry.name for entry in read(RUN)} and not allowed(said, PERMISSIVE):
            assert f"`{name}`" in plain, name


def test_nothing_is_read_in_vain():
    names = {entry.name for entry in read(RUN, CUDA, DEV)}
    assert set(READ) <= names
    assert all(canonicalize_name(name) == name for name in READ)


def test_installed_packages_say_the_same():
    found = recorded()
    for entry in read(RUN):
        if entry.requirement.marker is None or entry.requirement.marker.evaluate():
            assert licences.licences([entry]) == {entry.name: found[entry.name, entry.version]}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"license_expression": "MIT", "license": "see the file"}, "MIT"),
        ({"license": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"license": "free", "classifier": ["License :: OSI Approved :: MIT License"]}, "MIT"),
    ],
)
def test_what_metadata_say(told, expected):
    assert licence("some", told) == expected


@pytest.mark.parametrize("told", [{}, {"license": "BSD"}, {"license": "Copyright me\nMIT"}])
def test_what_they_do_not_say(told):
    with pytest.raises(LookupError, match=r"some does not say .* put it in READ"):
        licence("some", told)


def test_spdx():
    assert is_spdx("Apache-2.0 WITH LLVM-exception AND (MIT OR PSF-2.0)")
    assert not is_spdx("3-Clause BSD License")
    assert not is_spdx("")
