"""What can be said of a line in a plan whose search was stopped?"""

import msgspec

from pullplan.engine.model import Assignment, PassedOver


def blame_the_stop(line: Assignment) -> Assignment:
    """Take back that a node passed over has its capacity worth more elsewhere: only a finished search knows that."""
    return msgspec.structs.replace(line, passed_over=tuple(map(_take_back, line.passed_over)))


def _take_back(passed: PassedOver) -> PassedOver:
    if passed.cause != "at_capacity":
        return passed
    return msgspec.structs.replace(passed, cause="search_stopped", capacity_price=None)
