"""Is a stored plan what it says? A small checker without a solver, which shares no code with the one that planned."""

from pullplan.engine.checker.checking import check

__all__ = ["check"]
