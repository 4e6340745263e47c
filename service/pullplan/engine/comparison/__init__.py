"""What do two plans have otherwise, why, and at what saving? Plain Python, so that the HTTP process can answer it."""

from pullplan.engine.comparison.causes import Causes, PlanSide
from pullplan.engine.comparison.flows import compare
from pullplan.engine.comparison.horizons import PlannedBuckets, common_buckets

__all__ = ["Causes", "PlanSide", "PlannedBuckets", "common_buckets", "compare"]
