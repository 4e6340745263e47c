"""What can go wrong, as facts with a stable code; never an HTTP status."""

from typing import ClassVar

import msgspec


class PullplanError(Exception):
    """Something that a caller can act upon."""

    code: ClassVar[str] = "pullplan-error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class LineProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One refused line of a batch or a file.

    `line` counts from 1 (a CSV's header is line 1); `pointer` is the place in a JSON body; `field` names the column.
    """

    code: str
    detail: str
    line: int | None = None
    pointer: str | None = None
    field: str | None = None


class LinesRefusedError(PullplanError):
    """Lines of the request were refused; nothing of it was stored."""

    code = "lines-refused"

    def __init__(self, problems: list[LineProblem], refused_lines: int) -> None:
        super().__init__(
            ("1 line was" if refused_lines == 1 else f"{refused_lines} lines were")
            + " refused, nothing was stored"
        )
        self.problems = problems
        self.refused_lines = refused_lines


class SourceRevisionStaleError(LinesRefusedError):
    """All that was refused says something else than what is stored, with no higher `source_revision`; nothing was stored."""

    code = "source-revision-stale"


class ResourceUnknownError(PullplanError):
    """There is no such resource, or the caller may not see it."""

    code = "resource-unknown"

    def __init__(self, kind: str, identity: object) -> None:
        super().__init__(f"there is no {kind} {identity}")
        self.kind = kind
        self.identity = identity


class RevisionStaleError(PullplanError):
    """The resource has changed since the revision that the request names."""

    code = "revision-stale"


class ReferenceUnknownError(PullplanError):
    """The request refers to something that does not exist; load what it refers to first."""

    code = "reference-unknown"

    def __init__(self, detail: str, problems: list[LineProblem]) -> None:
        super().__init__(detail)
        self.problems = problems


class ResourceInUseError(PullplanError):
    """A node's resource can't go while a capability of the node uses it."""

    code = "resource-in-use"

    def __init__(self, node_code: str, resource_code: str) -> None:
        super().__init__(
            f"a capability of the node {node_code} uses its resource {resource_code}; change use_per_unit first"
        )


class DatabaseAwayError(PullplanError):
    """The database cannot be reached right now; the same request will work later."""

    code = "database-away"


class HorizonInvalidError(PullplanError):
    """The planning horizon cannot be cut into buckets as asked."""

    code = "horizon-invalid"


class PinInfeasibleError(PullplanError):
    """Units that the request pins to a node can't be made there, or are not needed."""

    code = "pin-infeasible"


class AssignmentFailedError(PullplanError):
    """The solver ended without a plan; the instance is outside what it can represent."""

    code = "assignment-failed"


class LotRulesContradictoryError(PullplanError):
    """A node's lots of a product can't keep to their minimum, multiple and maximum at once."""

    code = "lot-rules-contradictory"

    def __init__(self, node_code: str, product_code: str) -> None:
        super().__init__(
            f"no lot of {product_code} at {node_code} can keep to its maximum together with its minimum and "
            "multiple; change minimum_lot_units, lot_multiple_units or maximum_lot_units of the capability "
            "or the product"
        )
        self.node_code = node_code
        self.product_code = product_code
