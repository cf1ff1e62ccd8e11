from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cmr_hub.errors import CMRError
from cmr_hub.experiments.grid import Grid, build_method, read_grid
from cmr_hub.experiments.plan import Plan, make_plan, saved_plans
from cmr_hub.training.presets import PRESETS, Preset

ROOT = Path(__file__).parents[2]
HEAD = """
name = "g"
title = "G"
seeds = [3, 5]
[defaults]
dataset = "pascal-sentence"
protocol = "random-{seed}"
image_encoder = "mobilenet_v2"
text_encoder = "bow"
method = "acmr-paper"
"""
TABLE = """
[[tables]]
id = "t"
title = "T"
reference = "a"
"""


def parse(tmp_path: Path, text: str) -> Grid:
    path = tmp_path / "g.toml"
    path.write_text(text)
    return read_grid(path)


def keys(grid: Grid, fingerprint: str = "f", place: int = 0) -> list[str]:
    plan, _ = make_plan(grid, {"mobilenet_v2": fingerprint})
    return list(plan.tables[0].rows[place].cells.values())


@pytest.mark.parametrize("path", sorted((ROOT / "grids").glob("*.toml")), ids=lambda p: p.name)
def test_the_grids_of_the_repository_are_valid_with_five_seeds_or_nothing_random(
    path: Path,
) -> None:
    grid = read_grid(path)
    assert grid.name == path.stem
    random = any(table.measure != "content" for table in grid.tables)
    assert len(grid.seeds) >= (5 if random else 1)


def test_nested_tables_are_of_new_splits_and_of_candidates_without_the_tuned_settings() -> None:
    path = ROOT / "grids" / "methods.toml"
    grid = read_grid(path, nested=True)
    assert set(grid.seeds).isdisjoint(range(10))
    assert len(grid.seeds) == 5
    for row in grid.tables[0].rows:
        candidates = [build_method(choice) for choice in row.settings.choices()]
        if presets := [one for one in candidates if isinstance(one, Preset)]:
            tuned, rates = PRESETS[row.settings.method.name], [one.learning_rate for one in presets]
            assert min(rates) < tuned.learning_rate < max(rates)
            assert tuned.learning_rate not in rates
            assert tuned.dropout not in [one.dropout for one in presets]


def test_the_rows_that_wait_for_vgg16_are_those_of_their_grid() -> None:
    plan, _ = make_plan(read_grid(ROOT / "grids" / "vgg16.toml"), {})
    waiting = Plan.load(ROOT / "results" / "grids" / "vgg16.json")

    def without_cells(one: Plan) -> list[object]:
        return [table.model_dump(exclude={"rows": {"__all__": {"cells"}}}) for table in one.tables]

    assert without_cells(waiting) == without_cells(plan)


def test_tables_of_all_grids_have_different_ids() -> None:
    ids = [
        line
        for path in (ROOT / "grids").glob("*.toml")
        for line in path.read_text().splitlines()
        if line.startswith("id = ")
    ]
    assert len(ids) == len(set(ids))


def test_a_row_takes_from_its_table_before_the_grid(tmp_path: Path) -> None:
    grid = parse(
        tmp_path,
        HEAD
        + TABLE
        + """
defaults = { text_encoder = { name = "bow", min_df = 2 }, protocol = "800/200" }
rows = [{ label = "a" }, { label = "b", text_encoder = "word2vec" }]
""",
    )
    first, second = (row.settings for row in grid.tables[0].rows)
    assert (first.text_encoder.name, first.text_encoder.options) == ("bow", {"min_df": 2})
    assert (second.text_encoder.name, second.text_encoder.options) == ("word2vec", {})
    assert first.protocol == second.protocol == "800/200"
    assert first.method.name == "acmr-paper"


def test_tables_without_rows_share_those_of_the_grid(tmp_path: Path) -> None:
    table = TABLE + 'defaults = {{ protocol = "{}" }}\n'
    text = (
        HEAD
        + '[[rows]]\nlabel = "a"\n'
        + table.format("800/200")
        + table.format("random-1").replace('id = "t"', 'id = "u"')
    )
    grid = parse(tmp_path, text)
    assert [table.rows[0].settings.protocol for table in grid.tables] == ["800/200", "random-1"]


@pytest.mark.parametrize(
    ("rows", "place", "reason"),
    [
        (
            '[{ label = "a", method = "acmr" }]',
            r"tables\[0\] \('t'\).rows\[0\] \('a'\).method",
            "unk",
        ),
        ('[{ label = "a", colour = 1 }]', r"rows\[0\] \('a'\).colour", "not permitted"),
        ('[{ protocol = "800/200" }]', r"rows\[0\].label", "is missing here"),
        ('[{ label = "a", dataset = "imagenet" }]', r"\('a'\).dataset", "unknown dataset"),
        ('[{ label = "a", text_encoder = {name = "bow", df = 1} }]', "text_encoder", "no option"),
        ('[{ label = "a", text_encoder = "precomputed" }]', r"\('a'\)", "both encoders"),
        ('[{ label = "a", fine_tune = -1 }]', r"\('a'\).fine_tune", "greater than or equal to 0"),
        (
            '[{ label = "a", fine_tune = 2, image_encoder = "precomputed", '
            'text_encoder = "precomputed" }]',
            r"\('a'\)",
            "no image encoder to fine-tune",
        ),
        (
            '[{ label = "a", fine_tune_text = 1 }]',
            r"\('a'\)",
            "only the text encoder sentence can be fine-tuned",
        ),
        (
            '[{ label = "a", text_encoder = "none" }]',
            r"\('a'\)",
            "every method except content-based needs a text encoder",
        ),
        (
            '[{ label = "a", method = "content-based" }]',
            r"\('a'\)",
            "its text encoder is 'none'",
        ),
        (
            '[{ label = "a", method = "content-based", text_encoder = "none", fine_tune = 1 }]',
            r"\('a'\)",
            "content-based trains nothing",
        ),
        (
            '[{ label = "a", method = "content-based", text_encoder = "none" }]',
            "tables",
            'belong in tables with measure = "content"',
        ),
        (
            '[{ label = "a", test_on = { dataset = "flickr8k", split = "half" } }]',
            r"\('a'\).test_on",
            "'train', 'validation' or 'test'",
        ),
        (
            '[{ label = "a", image_encoder = "precomputed", text_encoder = "precomputed", '
            'test_on = { dataset = "flickr8k", split = "test" } }]',
            r"\('a'\)",
            "features of different datasets",
        ),
        ('[{ label = "a", text_encoder = {name = "glove", vectors = "/x"} }]', "text_e", "machine"),
        ('[{ label = "a", method = {name = "acmr-paper", dimm = 3} }]', "method", "field of a pre"),
        ('[{ label = "a", method = {name = "acmr-paper", dim = "3"} }]', "method", "must be like"),
        ('[{ label = "a", method = {name = "cca", dim = 3} }]', "method", "is a baseline"),
        (
            '[{ label = "a", method = {name = "acmr-paper", objective = {mdd = {}}} }]',
            "method",
            "unknown loss 'mdd'",
        ),
        ('[{ label = "a", published = ["who"] }]', r"published\[0\]", "unknown published"),
        ('[{ label = "a", protocol = "random-{sed}" }]', "protocol", "{seed}"),
        ('[{ label = "b" }]', r"tables\[0\]", "reference 'a' is not a row"),
        ('[{ label = "a" }, { label = "a" }]', r"tables\[0\]", "repeated: a"),
        ("[]", r"tables\[0\] \('t'\).rows", "at least 1"),
        ("3", r"tables\[0\].rows", "must be a list of tables"),
    ],
)
def test_an_error_names_its_place(tmp_path: Path, rows: str, place: str, reason: str) -> None:
    with pytest.raises(CMRError, match=f"(?s){place}.*{reason}"):
        parse(tmp_path, HEAD + TABLE + f"rows = {rows}\n")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"bow"', '"wob"', r"  defaults.text_encoder: unknown text encoder 'wob'"),
        ('"bow"', '"bow"\ncolour = 1', r"defaults.colour: no such field"),
        ("[3, 5]", "[3, 3]", "each seed may occur only once"),
        ("[3, 5]", "[-1]", r"seeds\[0\]"),
        ("[3, 5]", "[]", "seeds"),
        ('"g"', '"G g"', "name"),
        ('method = "acmr-paper"\n', "", r"rows\[0\] \('a'\).method: is missing here"),
        ("[3, 5]", "[3, 5", "cannot be read as TOML"),
    ],
)
def test_errors_outside_the_rows(tmp_path: Path, before: str, after: str, message: str) -> None:
    text = (HEAD + TABLE + 'rows = [{ label = "a" }]\n').replace(before, after, 1)
    with pytest.raises(CMRError, match=message):
        parse(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CMRError, match=r"no grid file .*nowhere\.toml"):
        read_grid(tmp_path / "nowhere.toml")


def test_fields_of_a_preset_are_replaced(tmp_path: Path) -> None:
    grid = parse(
        tmp_path,
        HEAD
        + TABLE
        + 'rows = [{ label = "a", method = { name = "acmr-paper", dropout = [0, 0.5], radius = 3, '
        "objective = { label = {}, mmd = { weight = 2 } } } }]\n",
    )
    method = build_method(grid.tables[0].rows[0].settings.method)
    assert isinstance(method, Preset)
    assert (method.dropout, method.radius) == ((0, 0.5), 3.0)
    assert method.objective == {"label": {}, "mmd": {"weight": 2}}
    assert method.dim == PRESETS["acmr-paper"].dim


def rows(**fields: str) -> str:
    own = "".join(f", {name} = {value}" for name, value in fields.items())
    return HEAD + TABLE + f'rows = [{{ label = "a"{own} }}]\n'


def test_a_key_says_all_that_decides_the_result(tmp_path: Path) -> None:
    base = keys(parse(tmp_path, rows()))
    assert base == keys(parse(tmp_path, rows(published='["dscmr"]').replace('"T"', '"Title"')))
    changed: list[list[str]] = [
        keys(parse(tmp_path, rows()), fingerprint="other weights"),
        keys(parse(tmp_path, rows(protocol='"800/200"'))),
        keys(parse(tmp_path, rows(text_encoder='{ name = "bow", min_df = 3 }'))),
        keys(parse(tmp_path, rows(method='{ name = "acmr-paper", epochs = 7 }'))),
        keys(parse(tmp_path, rows(method='"cca"'))),
        keys(parse(tmp_path, rows(fine_tune="2"))),
        keys(parse(tmp_path, rows(text_encoder='"sentence"'))),
        keys(parse(tmp_path, rows(text_encoder='"sentence"', fine_tune_text="1"))),
        keys(parse(tmp_path, rows(test_on='{ dataset = "flickr8k", split = "test" }'))),
        keys(parse(tmp_path, rows(test_on='{ dataset = "flickr8k", split = "validation" }'))),
    ]
    everything = [key for some in (base, *changed) for key in some]
    assert len(set(everything)) == 22
    assert all(len(key) == 64 for key in everything)


def test_what_is_written_out_as_the_default_is_the_same_cell(tmp_path: Path) -> None:
    written = rows(
        text_encoder='{ name = "bow", min_df = 1 }',
        method=f'{{ name = "acmr-paper", epochs = {PRESETS["acmr-paper"].epochs} }}',
    )
    assert keys(parse(tmp_path, rows())) == keys(parse(tmp_path, written))
    one = HEAD.replace("[3, 5]", "[3]")
    fixed = one + TABLE + 'rows = [{ label = "a", protocol = "random-3" }]\n'
    assert keys(parse(tmp_path, fixed)) == keys(parse(tmp_path, rows()))[:1]


def test_a_file_decides_by_its_content_not_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = '{ name = "glove", vectors = "$CMR_DATA_HOME/g/v.txt" }'
    grid = parse(tmp_path, rows(text_encoder=vectors))
    found: list[Any] = []
    for home, content in (("one", "a 1\n"), ("two", "a 1\n"), ("three", "a 2\n")):
        file = tmp_path / home / "g" / "v.txt"
        file.parent.mkdir(parents=True)
        file.write_text(content)
        monkeypatch.setenv("CMR_DATA_HOME", str(tmp_path / home))
        found.append(keys(grid))
    assert found[0] == found[1] != found[2]


def test_a_plan_has_each_cell_once_and_comes_back_from_disk(
    small_grid: Path, tmp_path: Path
) -> None:
    plan, cells = make_plan(read_grid(small_grid), {})
    methods, losses = plan.tables
    assert methods.rows[0].cells == losses.rows[0].cells
    assert len(cells) == 3 * 2
    shared = methods.rows[0].cells[1]
    assert [(table.id, row.label) for table, row in plan.rows_of(shared)] == [
        ("methods", "small net"),
        ("losses", "all"),
    ]
    plan.save(tmp_path)
    assert saved_plans(tmp_path) == [plan]
    (tmp_path / "grids" / "small.json").write_text("{}")
    with pytest.raises(CMRError, match="is not the plan of a grid"):
        Plan.load(tmp_path / "grids" / "small.json")


def test_a_grid_nested_deep_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CMRError, match="cannot be read as TOML"):
        parse(tmp_path, "x = " + "[" * 10_000)
