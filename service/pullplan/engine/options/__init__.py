"""Which node could serve which need when, at what cost and on which capacity?"""

from pullplan.engine.options.arrays import NeedGroup, OptionRows, Options, runs
from pullplan.engine.options.building import NEVER, build_options, need_columns
from pullplan.engine.options.capacities import Capacities, CapacityKey, left_for_new_work
from pullplan.engine.options.measures import (
    CountedShort,
    StageMeasure,
    needs_by_rank,
    shortfall_weight,
    slice_edges,
    stage_measures,
)
from pullplan.engine.options.solution import Solution, StagePrices
from pullplan.engine.options.ways import Capabilities, Ways

__all__ = [
    "NEVER",
    "Capabilities",
    "Capacities",
    "CapacityKey",
    "CountedShort",
    "NeedGroup",
    "OptionRows",
    "Options",
    "Solution",
    "StageMeasure",
    "StagePrices",
    "Ways",
    "build_options",
    "left_for_new_work",
    "need_columns",
    "needs_by_rank",
    "runs",
    "shortfall_weight",
    "slice_edges",
    "stage_measures",
]
