"""Writes the API reference from the docstrings: `python docs/make_reference.py DIR`.

A module that cannot be imported and a docstring that cannot be understood are errors.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pdoc

import cmr_hub

PACKAGE = Path(cmr_hub.__file__).parent
LEFT_OUT = (
    # Scripts that Streamlit runs, not modules to be imported.
    PACKAGE / "apps/dashboard/views",
    PACKAGE / "apps/dashboard/app.py",
)


def name(path: Path) -> str:
    """Of the module at a path."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def modules() -> Iterator[str]:
    """The names of all modules of the reference."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if not any(path.is_relative_to(part) for part in LEFT_OUT):
            yield name(path)


def write_reference(out: Path) -> None:
    """A page for every module of the package, and a search index."""
    pdoc.render.configure(docformat="google", footer_text="CMR Hub", search=True)
    namespaces = (cmr_hub, cmr_hub.datasets, cmr_hub.encoders, cmr_hub.losses, cmr_hub.metrics)
    for module in namespaces:
        for public in module.__all__:
            # Imported when first asked for, and pdoc does not ask.
            vars(module)[public] = getattr(module, public)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning, module="pdoc")
        # The page then has the annotation as it is written, which is what it should have: the
        # names of heavy libraries are known to type checkers only.
        warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
        # A package brings its modules along, but for those that have an `__all__`.
        warnings.filterwarnings("ignore", "The module specification .* adds a module", UserWarning)
        pdoc.pdoc(*modules(), *(f"!{name(path)}" for path in LEFT_OUT), output_directory=out)


if __name__ == "__main__":
    write_reference(Path(sys.argv[1]))
    print(f"Wrote {Path(sys.argv[1]) / 'index.html'}")
