"""How are columns stored as arrays that mostly say nothing?"""

from collections.abc import Sequence
from typing import Any


def unless_nothing(column: Sequence[Any]) -> Sequence[Any]:
    """Give a column as it is, and none of it where it has nothing but zeros or empty lists: writing those takes as long."""
    return column if any(column) else ()
