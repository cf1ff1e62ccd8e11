"""A file that grows past 400 lines holds two ideas: split it where they part."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 400


def test_no_file_is_too_long_to_be_read_in_one_go() -> None:
    files = [
        path
        for folder in ("cmr_hub", "tests", "benchmarks", "dashboard_streamlit", "docs", "tools")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".js", ".css"}
    ]
    assert len(files) > 400
    lengths = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8").count("\n")
        for path in files
    }
    assert {name: lines for name, lines in lengths.items() if lines > LIMIT} == {}
