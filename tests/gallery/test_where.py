import datetime
import math

import numpy as np
import pyarrow as pa
import pytest

from cmr_hub.errors import QueryError
from cmr_hub.gallery.milvus import _entity
from cmr_hub.gallery.milvus_where import milvus_condition
from cmr_hub.gallery.where import Where, near_condition

ROWS = [
    {"label": "dog", "year": 2008, "score": 0.5, "seen": True, "day": datetime.date(2008, 5, 1)},
    {"label": "cat", "year": 2010, "score": 1.5, "seen": False, "day": datetime.date(2010, 1, 1)},
    {"label": None, "year": None, "score": None, "seen": None, "day": None},
    {"label": "it's 100%", "year": -3, "score": -2.0, "seen": True, "day": None},
]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("label = 'dog'", lambda row: row["label"] == "dog"),
        ("'dog' = label", lambda row: row["label"] == "dog"),
        ("label <> 'dog'", lambda row: row["label"] not in (None, "dog")),
        ("label != 'dog'", lambda row: row["label"] not in (None, "dog")),
        ("year > 2008", lambda row: row["year"] is not None and row["year"] > 2008),
        ("2008 <= year", lambda row: row["year"] is not None and row["year"] >= 2008),
        ("year = '2008'", lambda row: row["year"] == 2008),
        ("year < 2008.5", lambda row: row["year"] is not None and row["year"] < 2008.5),
        ("year = -3", lambda row: row["year"] == -3),
        ("score >= .5", lambda row: row["score"] is not None and row["score"] >= 0.5),
        ("seen", lambda row: row["seen"] is True),
        ("NOT seen", lambda row: row["seen"] is False),
        ("seen = false", lambda row: row["seen"] is False),
        ("day >= '2009-01-01'", lambda row: row["day"] is not None and row["day"].year >= 2009),
        ("label IN ('dog', 'cat')", lambda row: row["label"] in ("dog", "cat")),
        ("label NOT IN ('dog')", lambda row: row["label"] not in (None, "dog")),
        ("year BETWEEN 2008 AND 2009", lambda row: row["year"] == 2008),
        ("label IS NULL", lambda row: row["label"] is None),
        ("label IS NOT NULL", lambda row: row["label"] is not None),
        ("label LIKE '%o_'", lambda row: row["label"] == "dog"),
        ("label ILIKE 'DO%'", lambda row: row["label"] == "dog"),
        ("label NOT LIKE 'd%'", lambda row: row["label"] not in (None, "dog")),
        ("label NOT ILIKE 'DO%'", lambda row: row["label"] not in (None, "dog")),
        ("NOT label NOT LIKE 'd%' AND seen", lambda row: row["label"] == "dog"),
        ("label = 'it''s 100%'", lambda row: row["label"] == "it's 100%"),
        ("\"label\" = 'dog' OR year = 2010", lambda row: row["year"] in (2008, 2010)),
        # Three-valued logic: unknown OR true is true, NOT unknown is unknown.
        ("year = 1 OR label IS NULL", lambda row: row["label"] is None),
        ("NOT (year = 1 AND label = 'x')", lambda row: row["year"] is not None),
        ("label = 'dog' AND (year < 0 OR seen)", lambda row: row["label"] == "dog"),
    ],
)
def test_a_condition_is_the_plain_one(text, passes):
    assert Where(text).mask(pa.Table.from_pylist(ROWS)).tolist() == [passes(row) for row in ROWS]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "label = ",
        "label = 'dog",
        "SELECT 1",
        "DROP TABLE items",
        "label = 'a'; DROP TABLE items",
        "label = (SELECT 'dog')",
        "label IN (SELECT label FROM items)",
        "lower(label) = 'dog'",
        "label = year",
        "items.label = 'dog'",
        "read_csv('/etc/passwd')",
        "year + 1 = 2009",
        "1 = 1",
        "label = NULL",
        "year BETWEEN SYMMETRIC 2010 AND 2008",
        "(" * 3000 + "seen" + ")" * 3000,
    ],
)
def test_what_is_no_condition(text):
    with pytest.raises(QueryError):
        Where(text).mask(pa.Table.from_pylist(ROWS))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 'red'", "no column 'colour'; there are label, year"),
        ("year = 'dog'", "'dog' cannot be compared with the column 'year': it has numbers"),
        ("day > 'yesterday'", "it has times, such as '2021-06'"),
        ("day > 5", "5 cannot be compared with the column 'day': it has times"),
        ("seen = 'x'", "it has true and false"),
        ("year LIKE '20%'", "'20%' cannot be compared with the column 'year': it has numbers"),
        ("year > 99999999999999999999", "cannot apply"),
        ("label", "cannot apply"),
    ],
)
def test_what_does_not_fit_the_columns(text, message):
    with pytest.raises(QueryError, match=message):
        Where(text).mask(pa.Table.from_pylist(ROWS))


@pytest.mark.parametrize(
    "text",
    ["year = \u00b2", "year = 1e", "year = " + "9" * 5000, "label = '\ud800'", "year = 0x1F"],
)
def test_numbers_and_texts_that_are_none(text):
    with pytest.raises(QueryError):
        Where(text).mask(pa.Table.from_pylist(ROWS))


TIMES = [datetime.datetime(2021, 5, 31, 23, 59), datetime.datetime(2021, 6, 1), None]


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("taken >= '2021-06-01'", [False, True, False]),
        ("taken >= '2021-06'", [False, True, False]),
        ("taken > '2021'", [True, True, False]),
        ("taken < '2021-06-01 00:00:01'", [True, True, False]),
        ("taken BETWEEN '2021-05-31' AND '2021-05-31 23:59:59'", [True, False, False]),
        ("taken LIKE '2021-06%'", [False, True, False]),
        ("taken IS NULL", [False, False, True]),
        ("lens = 'x' OR lens > 3 OR lens LIKE '%'", [False] * 3),
        ("NOT lens = 'x'", [False] * 3),
    ],
)
def test_times_and_columns_without_a_value(text, selected):
    table = pa.table({"taken": TIMES, "lens": pa.nulls(3)})
    assert Where(text).mask(table).tolist() == selected


def kilometres(first, second):
    """Spherical law of cosines: an independent formula."""
    (a, b), (c, d) = (map(math.radians, place) for place in (first, second))
    cosine = math.sin(a) * math.sin(c) + math.cos(a) * math.cos(c) * math.cos(b - d)
    return 6371.0088 * math.acos(min(1, cosine))


PLACES = [
    (48.2, 16.4),
    (48.29, 16.4),
    (48.2, 16.6),
    (-48.2, -16.4),
    (0, 179.99),
    (89.9, 10),
    (0, 0),
]


@pytest.mark.parametrize(
    ("text", "radius"),
    [
        ("48.2,16.4,10km", 10),
        (" 48.2 , 16.4 , 10 ", 10),
        ("48.2,16.4,10100m", 10.1),
        ("48.2,16.4,9.5mi", 9.5 * 1.609344),
        ("-48.2,-16.4,1km", 1),
        ("0,-179.99,3km", 3),
        ("89.9,-170,30km", 30),
        ("48.2,16.4,20000km", 20000),
    ],
)
def test_near_is_the_great_circle_distance(text, radius):
    places = [*PLACES, (None, None), (48.2, None)]
    table = pa.table(dict(zip(("latitude", "longitude"), zip(*places, strict=True), strict=True)))
    centre = tuple(map(float, text.split(",")[:2]))
    expected = [kilometres(centre, place) <= radius for place in PLACES]
    condition = near_condition(text)
    assert Where(condition).mask(table).tolist() == [*expected, False, False]
    inverse = [not one for one in expected]
    assert Where(f"NOT {condition}").mask(table).tolist() == [*inverse, False, False]


@pytest.mark.parametrize(
    "text", ["", "48.2,16.4", "48.2;16.4;1km", "48.2,16.4,-1km", "a,b,ckm", "1,2,3ft"]
)
def test_what_is_no_place(text):
    with pytest.raises(QueryError, match=r"e\.g\. 48\.2,16\.4,10km"):
        near_condition(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("near(1, 2)", "near takes"),
        ("near(1, 2, 'x')", "near takes"),
        ("near(91, 2, 3)", "latitudes must be between"),
        ("near(1.2.3, 2, 3)", "."),
        ("near(1, 2, 3)", "no column 'latitude'"),
        ("far(1, 2, 3)", "not supported"),
    ],
)
def test_what_near_does_not_take(text, message):
    with pytest.raises(QueryError, match=message):
        Where(text).mask(pa.Table.from_pylist(ROWS))


def test_milvus_has_no_distances():
    with pytest.raises(QueryError, match="compare latitude and longitude"):
        milvus_condition(Where("NOT near(48.2, 16.4, 10)"))


def test_times_in_milvus_compare_as_text():
    columns = _entity({"id": "a", "taken": TIMES[1]}, "image", np.ones(1, np.float32))["columns"]
    condition = milvus_condition(Where("taken >= '2021-06-01' AND taken < '2021-06-02'"))
    assert 'columns["taken"] >= "2021-06-01"' in condition
    assert "2021-06-01" <= columns["taken"] < "2021-06-02"
