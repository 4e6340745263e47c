"""Which node makes what, for whom and when, so that no stage of the objective can be made smaller?"""

from pullplan.engine.assignment.holds import NOT_HELD, Holds
from pullplan.engine.assignment.sharding import Spread, here
from pullplan.engine.assignment.solving import assign, assign_held

__all__ = ["NOT_HELD", "Holds", "Spread", "assign", "assign_held", "here"]
