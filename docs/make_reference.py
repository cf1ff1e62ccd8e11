"""Write the API reference from the docstrings: `python docs/make_reference.py DIR`.

Modules that cannot be imported and docstrings that cannot be parsed are errors.
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
    # Scripts that Streamlit runs; they cannot be imported.
    PACKAGE / "apps/dashboard/views",
    PACKAGE / "apps/dashboard/app.py",
)


def name(path: Path) -> str:
    """Return the name of the module at a path."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def modules() -> Iterator[str]:
    """Yield the names of all modules of the reference."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if not any(path.is_relative_to(part) for part in LEFT_OUT):
            yield name(path)


def write_reference(out: Path) -> None:
    """Write a page for each module of the package, and a search index."""
    pdoc.render.configure(docformat="google", footer_text="CMR Hub", search=True)
    namespaces = (cmr_hub, cmr_hub.datasets, cmr_hub.encoders, cmr_hub.losses, cmr_hub.metrics)
    for module in namespaces:
        for public in module.__all__:
            # Names are imported on first access, but pdoc reads the namespace directly.
            vars(module)[public] = getattr(module, public)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning, module="pdoc")
        # pdoc then shows the annotation as written, as intended: names of heavy libraries are
        # imported only for type checking.
        warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
        # Packages without an `__all__` already include their modules.
        warnings.filterwarnings("ignore", "The module specification .* adds a module", UserWarning)
        pdoc.pdoc(*modules(), *(f"!{name(path)}" for path in LEFT_OUT), output_directory=out)


if __name__ == "__main__":
    write_reference(Path(sys.argv[1]))
    print(f"Wrote {Path(sys.argv[1]) / 'index.html'}")
