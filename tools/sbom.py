"""`make sbom`: writes sbom.json, a CycloneDX bill of materials of what the package runs with."""

from __future__ import annotations

from typing import Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from cmr_hub.version import __version__
from tools.licences import recorded
from tools.locked import CUDA, HOME, RUN, Locked, read

SBOM: Final = HOME / "sbom.json"


def bill() -> Bom:
    """Every package of requirements.lock, and as optional those of requirements-cuda.lock.

    The hashes of the files are in the locks; the licences are those of THIRD_PARTY.md.
    """
    make = LicenseFactory()
    licences = recorded()
    bom = Bom()
    root = Component(
        name="cmr-hub",
        version=__version__,
        type=ComponentType.LIBRARY,
        bom_ref=str(PackageURL("pypi", None, "cmr-hub", __version__)),
        purl=PackageURL("pypi", None, "cmr-hub", __version__),
        licenses=[make.make_from_string("Apache-2.0")],
    )
    bom.metadata.component = root

    def component(entry: Locked, scope: ComponentScope) -> Component:
        purl = PackageURL("pypi", None, entry.name, entry.version)
        return Component(
            name=entry.name,
            version=entry.version,
            type=ComponentType.LIBRARY,
            scope=scope,
            bom_ref=str(purl),
            purl=purl,
            licenses=[make.make_from_string(licences[entry.name, entry.version])],
        )

    entries = read(RUN, CUDA)
    optional = {entry.name for entry in read(CUDA)}
    components = {}
    for entry in entries:
        scope = ComponentScope.OPTIONAL if entry.name in optional else ComponentScope.REQUIRED
        components[entry.name] = component(entry, scope)
    bom.components.update(components.values())
    for name, one in (("-r requirements.txt", root), *components.items()):
        needs = [components[entry.name] for entry in entries if name in entry.needed_by]
        bom.register_dependency(one, needs)
    return bom


if __name__ == "__main__":
    SBOM.write_text(f"{JsonV1Dot6(bill()).output_as_string(indent=1)}\n", encoding="utf-8")
