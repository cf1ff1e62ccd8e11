"""Every public name has a docstring, and the API reference builds without warnings."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from documents import HOME

PACKAGE = HOME / "cmr_hub"
# Streamlit scripts, also excluded in docs/make_reference.py.
LEFT_OUT = {"views"}
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if not LEFT_OUT & {*path.parts}]

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def is_public(path: Path) -> bool:
    return not any(part.startswith("_") for part in path.with_suffix("").parts)


def of_the_reference() -> Iterator[tuple[Path, ast.Module]]:
    for path in FILES:
        inside = path.relative_to(PACKAGE)
        if inside.name == "__init__.py" or is_public(inside):
            yield inside, ast.parse(path.read_text(encoding="utf-8"))


def names(node: ast.AST) -> Iterator[Definition]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition) and not child.name.startswith("_"):
            yield child


def of_protocols() -> set[str]:
    """Return the documented methods of protocols; implementations need no docstring."""
    return {
        method.name
        for _, module in of_the_reference()
        for node in names(module)
        if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases)
        for method in names(node)
        if ast.get_docstring(method)
    }


def test_public_names_say_what_they_are() -> None:
    missing, told = [], of_protocols()
    for path, module in of_the_reference():
        if ast.get_docstring(module) is None and module.body:
            missing.append(f"{path}")
        for node in names(module):
            if ast.get_docstring(node) is None:
                missing.append(f"{path}: {node.name}")
            # Methods may inherit their docstrings from a base class.
            if isinstance(node, ast.ClassDef) and not node.bases:
                missing += [
                    f"{path}: {node.name}.{method.name}"
                    for method in names(node)
                    if ast.get_docstring(method) is None and method.name not in told
                ]
    assert missing == []


WITHOUT_SOURCES = """
import functools, runpy, sys
import pdoc
pdoc.render.configure = functools.partial(pdoc.render.configure, show_source=False)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Highlighting the sources takes a third of the time."""


def test_the_reference_is_written_without_a_warning(tmp_path) -> None:
    script = HOME / "docs" / "make_reference.py"
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_SOURCES, script, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Warning" not in ran.stderr
    page = (tmp_path / "cmr_hub" / "losses" / "infonce.html").read_text(encoding="utf-8")
    assert "Radford et al., CLIP" in page
    assert len(list(tmp_path.rglob("*.html"))) > 200
