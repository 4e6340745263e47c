"""What would have come of history under a pull policy?"""

from pullplan.engine.replay.figures import ReplayFigures, add_up
from pullplan.engine.replay.running import Replay, ReplayPolicy, later_steps
from pullplan.engine.replay.shelves import BucketResult, Shelves, Unmet

__all__ = [
    "BucketResult",
    "Replay",
    "ReplayFigures",
    "ReplayPolicy",
    "Shelves",
    "Unmet",
    "add_up",
    "later_steps",
]
