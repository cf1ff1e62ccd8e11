import json

from cmr_hub.experiments.benchmarks import record_benchmark


def test_a_row_replaces_its_older_one_and_no_other(tmp_path):
    path = tmp_path / "results" / "benchmarks.json"
    record_benchmark("loading", {"peer_over_ours": 1.5}, path)
    record_benchmark("gallery", {"peer_over_ours": 4.0}, path)
    record_benchmark("loading", {"peer_over_ours": 3.5}, path)
    rows = json.loads(path.read_text())
    assert {name: row["peer_over_ours"] for name, row in rows.items()} == {
        "loading": 3.5,
        "gallery": 4.0,
    }
    assert rows["loading"]["versions"]["torch"]
