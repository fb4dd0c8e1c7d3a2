"""The client programs are found where they are, and missed in words."""

from __future__ import annotations

import pytest

from seedcore.db.embedded.binaries import client, installation
from seedcore.db.programs import program_path
from seedcore.errors import ConfigError, Unavailable


def test_bundled_client_is_preferred_to_one_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program_path("psql") == installation() / "bin" / "psql"
    assert program_path("sh").name == "sh"  # not bundled, so from the PATH
    monkeypatch.setenv("PATH", "")
    assert client("sh") is None


def test_missing_client_is_named_with_what_to_install() -> None:
    with pytest.raises(Unavailable, match="there is no pg_nothing") as caught:
        program_path("pg_nothing")
    assert caught.value.code == "db.no_client"
    assert "postgresql-client" in (caught.value.hint or "")


def test_version_that_is_not_shipped_is_refused() -> None:
    with pytest.raises(ConfigError, match="PostgreSQL 12"):
        installation(12)
