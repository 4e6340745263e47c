"""Which node could serve which need when, at what cost and on which capacity?"""

from pullplan.engine.options.arrays import Capabilities, Options, Solution, StagePrices
from pullplan.engine.options.building import build_options
from pullplan.engine.options.capacities import Capacities
from pullplan.engine.options.measures import StageMeasure, stage_measures

__all__ = [
    "Capabilities",
    "Capacities",
    "Options",
    "Solution",
    "StageMeasure",
    "StagePrices",
    "build_options",
    "stage_measures",
]
