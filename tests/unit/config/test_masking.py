from __future__ import annotations

import pytest

from seedcore.config import mask_secret, mask_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ada:hunter2@db/x", "postgresql://ada:***@db/x"),
        ("postgresql://:hunter2@db/x", "postgresql://:***@db/x"),
        ("postgresql://ada@db/x?password=hunter2&a=b", "postgresql://ada@db/x?password=***&a=b"),
        ("host=db password=hunter2 dbname=x", "host=db password=*** dbname=x"),
        ("password='hunter 2\\' x' host=db", "password=*** host=db"),
        ("postgresql://ada@db/x", "postgresql://ada@db/x"),
        ("postgresql:///x?host=/run", "postgresql:///x?host=/run"),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert mask_url(text) == shown


def test_a_password_with_an_at_sign_leaves_nothing_behind() -> None:
    assert "ter2" not in mask_url("postgresql://ada:hun@ter2@db/x")


def test_only_secrets_are_masked() -> None:
    assert mask_secret("database_url", None) is None
    assert mask_secret("home", "postgresql://a:b@c/d") == "postgresql://a:b@c/d"
