"""Instances that are gone and still on the books."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import uuid4

import psycopg

from seedcore.config.settings import Settings
from seedcore.doctor import registry
from seedcore.doctor.finding import Finding
from seedcore.registry import epoch as epochs, store

Conn = psycopg.Connection[dict[str, Any]]


def look(conn: Conn, settings: Settings) -> Finding:
    (finding,) = registry.check(conn, settings)
    return finding


def silence(conn: Conn, seconds: float) -> None:
    conn.execute(
        "UPDATE registry_instance SET last_heartbeat = now() - make_interval(secs => %s)", [seconds]
    )


def test_who_fell_silent_long_ago_should_have_been_buried(conn: Conn, settings: Settings) -> None:
    store.ensure_epoch(conn, uuid4())
    store.register(conn, store.Identity(instance_id=uuid4(), logical_id="a"), None)
    assert look(conn, settings).status == "ok"
    silence(conn, 40)  # dead, and a reaper would be about to say so
    assert look(conn, settings).status == "ok"
    silence(conn, 120)
    found = look(conn, settings)
    assert (found.status, found.evidence["first"]) == ("warn", "a")
    assert "seedcore worker registry-reaper" in (found.hint or "")


def test_one_of_an_old_epoch_has_time_to_follow(conn: Conn, settings: Settings) -> None:
    store.ensure_epoch(conn, uuid4())
    store.register(conn, store.Identity(instance_id=uuid4(), logical_id="a"), None)
    epochs.rotate(conn, actor="ann", expire_old=False)
    assert look(conn, settings).status == "ok"
    silence(conn, 120)
    assert look(conn, settings).status == "warn"


def test_switched_off_there_is_nothing_to_say(conn: Conn, settings: Settings) -> None:
    off = dataclasses.replace(settings, enable_runtime_registry=False)
    assert look(conn, off).status == "skip"
