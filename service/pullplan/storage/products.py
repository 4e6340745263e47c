"""What are the products?"""

from pullplan.storage.batches import target
from pullplan.storage.owned import Owned
from pullplan.storage.queries import load_queries

SQL = load_queries("products")
COLUMNS = (
    "product_code",
    "name",
    "unit",
    "weight_kg",
    "value_per_unit",
    "holding_cost_per_unit_per_day",
    "largest_share",
    "shelf_life_days",
    "effective_from",
    "effective_until",
    "minimum_lot_units",
    "lot_multiple_units",
    "maximum_lot_units",
    "source_revision",
)
PRODUCTS = Owned(noun="product", sql=SQL, target=target(SQL, "staged_products", COLUMNS))
