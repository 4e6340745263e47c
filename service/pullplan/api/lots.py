"""Which lot rules can a product or a capability have?"""

import math

from pullplan.api import fields, intake


class LotFields(intake.Effective, kw_only=True):
    """Dates, and lots: those of one order are of at least the minimum, at most the maximum, and whole multiples."""

    minimum_lot_units: fields.NonNegative | None = None
    """Where it exceeds all that is left to make, the order goes to another node or is a shortfall, unless the plan says `make_minimum`. 0: none; null at a capability: as its product says, at a product: none."""
    lot_multiple_units: fields.NonNegative | None = None
    """Units that round an order up first cover later needs; what exceeds the horizon's is surplus. 0 and null as above."""
    maximum_lot_units: fields.NonNegative | None = None
    """Splits an order into lots; it limits no order. 0 and null as above."""

    def __post_init__(self) -> None:
        super().__post_init__()
        minimum, multiple = self.minimum_lot_units or 0.0, self.lot_multiple_units or 0.0
        if multiple > 0:
            minimum = max(multiple, multiple * math.ceil(minimum / multiple - 1e-9))
        if self.maximum_lot_units and self.maximum_lot_units < minimum:
            raise ValueError(
                f"maximum_lot_units: a lot that keeps to minimum and multiple is of at least {minimum:g} units"
            )
