"""Which node makes what, for whom and when, so that no stage of the objective can be made smaller?"""

from pullplan.engine.assignment.holds import NOT_HELD, Holds
from pullplan.engine.assignment.solving import assign, assign_held
from pullplan.engine.sharding import Spread, here

__all__ = ["NOT_HELD", "Holds", "Spread", "assign", "assign_held", "here"]
