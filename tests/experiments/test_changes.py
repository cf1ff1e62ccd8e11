from __future__ import annotations

from run_records import run_record

from cmr_hub.experiments.changes import changes
from cmr_hub.experiments.plan import PlannedRow, PlannedTable
from cmr_hub.experiments.tables import table_result, write_csv


def result(figures: dict[str, list[float]]):
    rows = tuple(
        PlannedRow(
            label=label,
            dataset="d",
            protocol="p",
            image_encoder="i",
            text_encoder="t",
            method="m",
            published=(),
            cells={seed: f"{label}-{seed}" for seed in range(3)},
        )
        for label in ("a", "b")
    )
    table = PlannedTable(id="t", title="T", reference="a", published=(), rows=rows)
    records = [
        run_record(cell=f"{label}-{seed}", map_avg=value, map_i2t=value, map_t2i=value)
        for label, values in figures.items()
        for seed, value in enumerate(values)
    ]
    return table_result(table, records)


def test_what_is_new_since_the_csv(tmp_path) -> None:
    assert [change.row for change in changes(result({"a": [0.5]}), tmp_path)] == ["a"]
    write_csv(result({"a": [0.5, 0.6]}), tmp_path / "t.csv")
    assert changes(result({"a": [0.5, 0.6]}), tmp_path) == []
    more, new = changes(result({"a": [0.5, 0.6, 0.7], "b": [0.1]}), tmp_path)
    assert (more.n_before, more.n_after, more.before) == (2, 3, 0.55)
    assert (new.row, new.before, new.after) == ("b", None, 0.1)
    (gone,) = changes(result({"b": []}), tmp_path)
    assert (gone.row, gone.n_after, gone.after) == ("a", 0, None)
    (other,) = changes(result({"a": [0.5, 0.62]}), tmp_path)
    assert other.n_before == other.n_after


def test_a_damaged_csv_is_as_none(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("row,n_seeds\na,x\n")
    assert len(changes(result({"a": [0.5]}), tmp_path)) == 1
