"""Why this node, and why not enough? Words and figures for every line of a plan."""

from pullplan.engine.explanation.forcing import solve_forced
from pullplan.engine.explanation.lines import explain
from pullplan.engine.explanation.loads import resource_loads
from pullplan.engine.explanation.remedies import find_remedies
from pullplan.engine.explanation.shortage import explain_shortfalls
from pullplan.engine.explanation.stopping import blame_the_stop

__all__ = [
    "blame_the_stop",
    "explain",
    "explain_shortfalls",
    "find_remedies",
    "resource_loads",
    "solve_forced",
]
