"""Which node makes what, for whom and when, so that no stage of the objective can be made smaller?"""

from pullplan.engine.assignment.sharding import Spread, here
from pullplan.engine.assignment.solving import assign

__all__ = ["Spread", "assign", "here"]
