"""Everything that the design names is there, and what is not is named."""

from __future__ import annotations

import psycopg
import pytest

from seedcore.db import migrate
from seedcore.db.migrate.acceptance import EDGES, WANTED

DROPPED = {
    "table": ("task_proto_plan", "DROP TABLE task_proto_plan"),
    "view": ("energy_balance_check", "DROP VIEW energy_balance_check"),
    "function": ("ocps_reset", "DROP FUNCTION ocps_reset"),
    "trigger": (
        "energy_tx.energy_tx_append_only",
        "DROP TRIGGER energy_tx_append_only ON energy_tx",
    ),
    "index": ("idx_instance_logical_id", "DROP INDEX idx_instance_logical_id"),
    "enum": ("pkg_operator", "ALTER TYPE pkg_operator RENAME TO other"),
    "composite": ("cortex_hit", "ALTER TYPE cortex_hit RENAME TO other"),
    "extension": ("vector", ""),
}


def test_every_kind_is_tried() -> None:
    assert DROPPED.keys() == WANTED.keys()
    assert all(name in WANTED[kind] for kind, (name, _) in DROPPED.items())


@pytest.mark.parametrize("kind", [kind for kind, (_, drop) in DROPPED.items() if drop])
def test_what_is_missing_is_named(database_url: str, kind: str) -> None:
    name, statement = DROPPED[kind]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement.encode())
    found = {f.detail: f for f in migrate.check(database_url, only=("acceptance",))}
    assert not found[f"{kind} {name} is missing"].ok
    assert len(found) == 1


def test_a_missing_extension_is_named(server_url: str, database_url: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
    admin = psycopg.conninfo.make_conninfo(server_url, dbname=str(name))
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP EXTENSION vector CASCADE")
    found = [f.detail for f in migrate.check(database_url, only=("acceptance",))]
    assert "extension vector is missing" in found


def test_a_database_at_its_head_has_everything(database_url: str) -> None:
    found = migrate.check(database_url, only=("acceptance",))
    assert [f.detail for f in found if not f.ok] == []


def test_below_the_head_it_can_not_be_told(blank_database_url: str) -> None:
    (found,) = migrate.check(blank_database_url, only=("acceptance",))
    assert not found.ok
    assert found.detail.startswith("can't tell: the database is at base")


def test_the_list_names_nothing_twice() -> None:
    for names in WANTED.values():
        assert len(set(names)) == len(names)
    assert len(EDGES) == 17
