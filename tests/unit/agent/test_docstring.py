from __future__ import annotations

import pytest

from seedcore.agent import ToolContext, tool
from seedcore.agent.docstring import argument_texts, first_paragraph

DOCSTRING = """Charge an account
    once.

    More of it. Not an argument: this.

    Args:
        account: Whose money,
            with its prefix.
        cents (int): How much: whole cents.

        note:
            For the statement.

    Returns:
        receipt: its number.
    """


def test_the_first_paragraph_becomes_one_line():
    assert first_paragraph(DOCSTRING) == "Charge an account once."
    assert first_paragraph(None) == ""


def test_each_argument_gets_its_lines():
    assert argument_texts(DOCSTRING) == {
        "account": "Whose money, with its prefix.",
        "cents": "How much: whole cents.",
        "note": "For the statement.",
    }


@pytest.mark.parametrize("text", [None, "", "Args:", "Do it.\n\nArgs: none", "Args:\nname: x"])
def test_a_docstring_without_section_says_nothing(text: str | None):
    assert argument_texts(text) == {}


def test_the_schema_carries_them():
    @tool("demo.charge")
    def charge(account: str, ctx: ToolContext, cents: int = 5) -> None:
        """Charge.

        Args:
            account: Whose money.
            ctx: The call.
            cents: How much.
        """

    assert charge.schema["properties"] == {
        "account": {"type": "string", "description": "Whose money."},
        "cents": {"type": "integer", "description": "How much.", "default": 5},
    }
