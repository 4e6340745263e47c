"""Which production orders make a plan, each of whole lots?"""

from pullplan.engine.lots.keeping import stays_in_whole_lots
from pullplan.engine.lots.kept import Kept
from pullplan.engine.lots.planning import LotPlan, cut_into_lots
from pullplan.engine.lots.rules import lot_rules, lot_sizes

__all__ = ["Kept", "LotPlan", "cut_into_lots", "lot_rules", "lot_sizes", "stays_in_whole_lots"]
