"""Where is the demand?"""

from pullplan.storage.batches import target
from pullplan.storage.owned import Owned
from pullplan.storage.queries import load_queries

SQL = load_queries("regions")
COLUMNS = ("region_code", "name", "latitude", "longitude", "source_revision")
REGIONS = Owned(noun="region", sql=SQL, target=target(SQL, "staged_regions", COLUMNS))
