"""Where does every demanded unit of a stored plan come from?"""

from pullplan.storage.listings import Listing
from pullplan.storage.queries import load_queries

SQL = load_queries("ledger")

LINES = Listing(SQL["list_lines"], key=("line",), start=(0,), filters=("product_code", "region_code", "tier"))
TOTALS = Listing(SQL["list_totals"], key=("totalled_by", "code"), start=("", ""), filters=("totalled_by",))
