"""Which tests show that a function of the schema does what it says: by function, for four aspects.

A test is named `file::test`, or `file::test[case]` where only one of its cases is about the function; the
file is anywhere below tests/integration. `test_coverage.py` holds the list against the live schema and the
files, and `proof.py` makes a listed test fail that does not call the function.
"""

from __future__ import annotations

from tests.integration.schema.coverage import base, graph, operating, policy, queue, registry
from tests.integration.schema.coverage.cover import Cover, Nothing

__all__ = ["COVERED", "Cover", "Nothing", "stood_for"]

COVERED: dict[str, Cover] = {
    **base.COVERED,
    **graph.COVERED,
    **registry.COVERED,
    **policy.COVERED,
    **queue.COVERED,
    **operating.COVERED,
}
"""The tests of every function, by its name."""


def stood_for(nodeid: str) -> set[str]:
    """The functions that a test, as pytest names it, is listed for."""
    path, _, test = nodeid.partition("::")
    case = f"{path.rpartition('/')[2].removesuffix('.py')}::{test}"
    names = {case, case.partition("[")[0]}
    return {function for function, cover in COVERED.items() if cover.tests() & names}
