"""The pages of the schema are what a migrated database says of itself."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from seedcore.db import reference

ROOT = Path(__file__).parents[2]


@pytest.fixture
def pages(database_url: str) -> dict[str, str]:
    with psycopg.connect(database_url) as connection:
        if connection.info.server_version // 10_000 != reference.MAJOR:
            # Each major version words its own definitions in another way.
            pytest.skip(f"only PostgreSQL {reference.MAJOR} writes it in these words")
        return reference.pages(connection)


def test_a_page_is_what_the_database_says(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        page = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
        assert page == text, "run scripts/generate-docs"


def test_every_table_is_in_one_section_and_every_link_leads_somewhere(
    pages: dict[str, str],
) -> None:
    titles = {name: re.findall(r"^#+ (.+)$", text, re.MULTILINE) for name, text in pages.items()}
    assert titles["schema.md"].count("tasks") == 1
    assert "task_uses_capability" in titles["schema.md"]
    for name, text in pages.items():
        for target, anchor in re.findall(r"\]\(([\w.-]*)#(\w+)\)", text):
            assert anchor in titles[target or name]


def test_the_picture_shows_the_tasks_and_what_refers_to_them(pages: dict[str, str]) -> None:
    assert "tasks ||--o{ task_router_telemetry : task_id" in pages["schema.md"]
    assert "tasks ||--o| task_proto_plan : task_id" in pages["schema.md"]
    assert "tasks }o--o{ tasks : task_depends_on_task" in pages["schema.md"]
