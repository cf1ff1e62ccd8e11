import datetime

import pyarrow as pa
import pytest

from cmr_hub.errors import QueryError
from cmr_hub.gallery.where import Where

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
        ("year = 'dog'", "cannot apply"),
        ("day > 'yesterday'", "cannot apply"),
        ("year LIKE '20%'", "cannot apply"),
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
