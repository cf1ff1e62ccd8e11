"""Every measured figure of docs/scale.md stands in `results/benchmarks.json`."""

import json
from pathlib import Path

HOME = Path(__file__).parents[1]
PAGE = (HOME / "docs" / "scale.md").read_text(encoding="utf-8")
MEASURED = json.loads((HOME / "results" / "benchmarks.json").read_text(encoding="utf-8"))


def point(name: str, found: dict) -> str:
    return (
        f"| {name} | {found['engine']} | {found['p50_milliseconds']:.1f} "
        f"| {found['recall_at_10']:.3f} | {found['seconds_to_first_answer']:.1f} "
        f"| {found['mebibytes']:,} |"
    )


def test_the_curve():
    scale = MEASURED["gallery-scale"]
    for found in scale["curve"]:
        assert point(f"{found['vectors']:,}", found) in PAGE
    assert point("1,000,000 much harder", scale["much_harder_vectors"]) in PAGE
    assert f"{scale['links']} links, ef {scale['ef']}" in PAGE


def test_conditions():
    for share in (10, 1):
        found = MEASURED["gallery-filters"][f"{share}_percent_pass"]
        row = (
            f"| {share} % | {found['p50_milliseconds']:.1f} "
            f"| {found['filtered_over_unfiltered']:.1f} | {found['recall_at_10']:.3f} "
            f"| {found['first_query_milliseconds']:.0f} |"
        )
        assert row in PAGE


def test_eight_bits_lose_nothing():
    found = MEASURED["gallery-codes"]
    few, many = (found[bits]["recall_at_10"] for bits in ("8_bits", "16_bits"))
    said = f"Recall@10 is {few:.3f} with 8 bits and {many:.3f} with 16"
    assert f"among {found['vectors']:,} vectors {said}" in " ".join(PAGE.split())
    assert few >= many


def test_kills():
    found = MEASURED["indexing-faults"]
    words = " ".join(PAGE.split())
    said = "was killed {kills} times at random moments; {lost_or_double_rows} rows"
    assert said.format(**found) in words
