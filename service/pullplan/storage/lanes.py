"""Which ways from a node to a region are given, and which are forbidden?"""

from pullplan.storage.batches import target
from pullplan.storage.owned import Owned
from pullplan.storage.queries import load_queries

SQL = load_queries("lanes")
COLUMNS = (
    "node_code",
    "region_code",
    "distance_km",
    "transit_days",
    "freight_cost_per_unit",
    "forbidden",
    "effective_from",
    "effective_until",
    "source_revision",
)
LANES = Owned(noun="lane", sql=SQL, target=target(SQL, "staged_lanes", COLUMNS))
