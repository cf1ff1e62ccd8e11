"""Writes the API reference from the docstrings: `python docs/make_reference.py DIR`.

A docstring or an annotation that cannot be understood is an error.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc

import cmr_hub

LEFT_OUT = (
    # Scripts that Streamlit runs, not modules to be imported.
    "!cmr_hub.apps.dashboard.pages",
    # Drawings: each function draws what its name says.
    *(f"!cmr_hub.datasets.sketches.{part}" for part in ("objects", "props", "settings")),
)


def write_reference(out: Path) -> None:
    """A page for every module of the package, and a search index."""
    pdoc.render.configure(docformat="google", footer_text="CMR Hub", search=True)
    for name in cmr_hub.__all__:
        # Imported when first asked for, and pdoc does not ask.
        vars(cmr_hub)[name] = getattr(cmr_hub, name)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=UserWarning, module="pdoc")
        pdoc.pdoc("cmr_hub", *LEFT_OUT, output_directory=out)


if __name__ == "__main__":
    write_reference(Path(sys.argv[1]))
    print(f"Wrote {Path(sys.argv[1]) / 'index.html'}")
