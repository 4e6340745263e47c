"""What can be wrong with a request before it means anything?"""

from pullplan.engine.errors import LineProblem, PullplanError


class BodyMalformedError(PullplanError):
    """The body is not well-formed: no JSON, no UTF-8, or none at all."""

    code = "body-malformed"


class TextNotUtf8Error(PullplanError):
    """The body is not text in UTF-8; the problem names its first bad line."""

    code = "text-not-utf8"

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} is not UTF-8; nothing was stored")
        self.problems = [LineProblem(code=self.code, detail="these bytes are not UTF-8", line=line)]


class ContentInvalidError(PullplanError):
    """The request is well-formed, but what it says is not valid."""

    code = "content-invalid"

    def __init__(self, detail: str, problems: list[LineProblem] | None = None) -> None:
        super().__init__(detail)
        self.problems = problems or []


class MediaTypeUnsupportedError(PullplanError):
    """The body's Content-Type is not one that this resource reads."""

    code = "media-type-unsupported"


class BodyTooLargeError(PullplanError):
    """The body is larger than this resource accepts at once."""

    code = "body-too-large"


class KeyMissingError(PullplanError):
    """A valid key is needed: `Authorization: Bearer <key>`."""

    code = "key-missing"


class KeyRefusedError(PullplanError):
    """The key is unknown, retired or has expired."""

    code = "key-refused"


class OwnKeyError(PullplanError):
    """A key can't retire itself: somebody must be left who can make keys."""

    code = "own-key"


class ScopeMissingError(PullplanError):
    """The key is valid, but lacks the scope that this needs."""

    code = "scope-missing"


class KeySetAwayError(PullplanError):
    """The identity provider does not say by which keys its tokens are checked."""

    code = "key-set-away"


class RateExceededError(PullplanError):
    """The key has sent all the requests that it may send in a minute; or an address too many keys that are unknown."""

    code = "rate-exceeded"

    def __init__(self, limit: int, seconds: int, policy: str = "key") -> None:
        many = {
            "key": f"this key may send {limit} requests a minute",
            "refused": f"from this address {limit} keys and tokens a minute may be refused; those in use go on",
        }
        super().__init__(f"{many[policy]}; the next is accepted within {seconds} s")
        self.policy = policy
        self.limit = limit
        self.seconds = seconds


class PreconditionMissingError(PullplanError):
    """The request must name the revision that it changes (`If-Match`), or say `If-None-Match: *`."""

    code = "precondition-missing"


class IdempotencyKeyReusedError(PullplanError):
    """The Idempotency-Key was used before, with another request."""

    code = "idempotency-key-reused"


class IdempotencyKeyBusyError(PullplanError):
    """The first request with this Idempotency-Key is still being answered."""

    code = "idempotency-key-busy"


class ReplanNotConfirmedError(PullplanError):
    """A re-plan with a churn budget can't be solved with something forced: solved afresh, nothing of its parent would be held."""

    code = "replan-not-confirmed"


class PlansNotComparableError(PullplanError):
    """The two plans have no bucket in common, so that no line of one can be a line of the other."""

    code = "plans-not-comparable"


class SchemaOutdatedError(PullplanError):
    """The database lacks migrations that this version of the service needs."""

    code = "schema-outdated"
