"""What the parser lets through comes back from jsonb unchanged; what it refuses would not have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from seedcore.task.plain import InvalidJson, compact_json, is_plain, load_json

text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
numbers = (
    st.integers()
    | st.integers(-(10**307), 10**307)
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=15,
)


@pytest.fixture(scope="module")
def database(server_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server_url, autocommit=True) as conn:
        yield conn


def stored(database: psycopg.Connection[Any], document: str) -> Any:
    row = database.execute("SELECT %s::text::jsonb", [document]).fetchone()
    assert row is not None
    return row[0]


def as_doubles(value: Any) -> Any:
    """Return a value with its floats' counterparts as floats: jsonb writes 1e22 as a whole number."""
    if isinstance(value, dict):
        return {key: as_doubles(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_doubles(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return float(value)
    return value


@given(values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_plain_values_survive_jsonb(database: psycopg.Connection[Any], value: Any) -> None:
    assert is_plain(value)
    assert as_doubles(stored(database, compact_json(value))) == as_doubles(value)


@given(st.lists(st.integers(-(10**307), 10**307)))
@settings(deadline=None)
def test_whole_numbers_are_exact(database: psycopg.Connection[Any], value: list[int]) -> None:
    assert stored(database, compact_json(value)) == value


@given(
    st.text(alphabet='{}[]:,"0123456789.eE+-\\u0dabcftn ', max_size=40) | values.map(compact_json)
)
@settings(max_examples=300, deadline=None)
def test_what_is_accepted_can_be_stored(database: psycopg.Connection[Any], document: str) -> None:
    try:
        value = load_json(document)
    except InvalidJson:
        return
    assert as_doubles(stored(database, document)) == as_doubles(value)


@pytest.mark.parametrize("document", ['"a\\u0000b"', '"\\ud83d"', '{"\\u0000": 1}', "NaN", "[1,]"])
def test_the_server_refuses_it_too(database: psycopg.Connection[Any], document: str) -> None:
    with pytest.raises(InvalidJson):
        load_json(document)
    with pytest.raises(psycopg.DataError):
        stored(database, document)


@pytest.mark.parametrize(
    ("document", "kept"), [('{"a":1,"a":2}', {"a": 2}), ("[1e-400]", [0.0]), ("[1e400]", [10**400])]
)
def test_the_server_would_have_kept_something_else(
    database: psycopg.Connection[Any], document: str, kept: Any
) -> None:
    with pytest.raises(InvalidJson):
        load_json(document)
    assert stored(database, document) == kept
