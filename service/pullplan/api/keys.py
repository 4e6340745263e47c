"""Which keys are there, what may they do, and what was done with them?"""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from pullplan.api import fields, lists
from pullplan.api.access import Scope, require
from pullplan.api.dependencies import CallerOf, Clock, Transaction
from pullplan.api.errors import ContentInvalidError, OwnKeyError
from pullplan.engine.errors import LineProblem, ReferenceUnknownError, ResourceUnknownError
from pullplan.engine.model import Instant
from pullplan.storage import audit, keys
from pullplan.storage.audit import AuditEntry
from pullplan.storage.nodes import NODES

_DAY_SECONDS = 24 * 3600
_NOT_KEPT = {"Cache-Control": "no-store"}

OverlapSeconds = Annotated[int, msgspec.Meta(ge=300, le=30 * _DAY_SECONDS)]
RequestsPerMinute = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
KeyFilter = Annotated[UUID | None, QueryParameter(description="Only what was done with this key.")]
ActionFilter = Annotated[
    str | None, QueryParameter(max_length=100, description="Only this action, such as `plans.start`.")
]
SubjectFilter = Annotated[
    str | None,
    QueryParameter(max_length=300, description="Only what was done to this, such as `nodes/OVEN-ULM`."),
]
Since = Annotated[
    datetime | None,
    lists.InstantParameter(
        description="Only from this instant on (RFC 3339 with an offset; write `+` as `%2B`)."
    ),
]


class KeyAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to be made."""

    name: Annotated[fields.Text, msgspec.Meta(min_length=1)]
    """Whose key it is, as the audit will say."""
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=7)]
    """`admin` has every other."""
    node_code: fields.Code | None = None
    """The only node that a key with the scope `node` reports for."""
    expires_at: fields.Instant | None = None
    """From when on it is refused; never without one."""
    requests_per_minute: RequestsPerMinute | None = None
    """0: as many as it likes; null: as many as the deployment's `PULLPLAN_REQUESTS_PER_MINUTE` says."""


class Rotation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a key is replaced."""

    overlap_seconds: OverlapSeconds = _DAY_SECONDS
    """How long the old key is accepted beside the new one. `DELETE` ends it at once."""


class KeyShown(msgspec.Struct, kw_only=True):
    """A key, without its text: that was shown once."""

    key_id: UUID
    name: str
    scopes: list[Scope]
    node_code: str | None
    created_at: Instant
    expires_at: Instant | None
    requests_per_minute: int | None
    """Of each of the service's processes; 0: as many as it likes; null: as many as the deployment says."""
    last_used_at: Instant | None
    """To about a minute."""
    retired_at: Instant | None
    issuer: str | None
    """Whose access tokens it stands for, by `PULLPLAN_JWT_ISSUER`; null: a key of pullplan's own."""
    subject: str | None
    """Whom those tokens speak for; what they may do each says itself. Retired, none of them is accepted."""


class KeyMade(KeyShown, kw_only=True):
    """A new key with its text, which is shown this once and stored nowhere."""

    key: str
    """Send it as `Authorization: Bearer <key>`."""


def _shown(key: keys.StoredKey) -> KeyShown:
    return msgspec.convert(msgspec.structs.asdict(key), KeyShown)


def _made(key: keys.StoredKey, text: str) -> Response[KeyMade]:
    made = msgspec.convert(msgspec.structs.asdict(key) | {"key": text}, KeyMade)
    return Response(made, status_code=201, headers=_NOT_KEPT)


@get("/v1/keys", guards=[require("admin")], operation_id="listKeys", tags=["access"])
async def list_keys(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    retired: lists.Retired = False,
) -> lists.Page[KeyShown]:
    """List keys, the newest first; retired ones only with `retired=true`."""
    after = lists.decode_cursor(cursor, tuple[datetime, UUID])
    rows = await keys.list_page(transaction, after=after, limit=limit + 1, retired=retired)
    return lists.page([_shown(row) for row in rows], limit, key=lambda key: (key.created_at, key.key_id))


@post("/v1/keys", guards=[require("admin")], operation_id="createKey", tags=["access"])
async def create_key(
    data: JSONBody[KeyAsked], transaction: Transaction, caller: CallerOf, clock: Clock
) -> Response[KeyMade]:
    """Make a key. Its text is in this answer and nowhere else, so there is no `Idempotency-Key`: a retry makes another."""
    if ("node" in data.scopes) != (data.node_code is not None):
        raise _refused("node_code", "a key with the scope node names its node_code, and no other key does")
    if data.expires_at is not None and data.expires_at <= clock():
        raise _refused("expires_at", "expires_at is in the past: the key would never be accepted")
    if data.node_code is not None:
        await _require_node(transaction, data.node_code)
    key, text = await keys.issue(
        *(transaction, data.name, sorted(set(data.scopes))),
        node_code=data.node_code,
        expires_at=data.expires_at,
        requests_per_minute=data.requests_per_minute,
    )
    await audit.insert(transaction, caller.key_id, action="create", subject=f"keys/{key.key_id}")
    return _made(key, text)


def _refused(field: str, detail: str) -> ContentInvalidError:
    return ContentInvalidError(detail, [LineProblem(code="field-invalid", detail=detail, field=field)])


async def _require_node(transaction: Transaction, node_code: str) -> None:
    try:
        await NODES.get(transaction, node_code)
    except ResourceUnknownError as error:
        problem = LineProblem(code="node-unknown", detail=str(error), field="node_code")
        raise ReferenceUnknownError(str(error), [problem]) from None


@post(
    "/v1/keys/{key_id:uuid}/rotate",
    guards=[require("admin")],
    operation_id="rotateKey",
    tags=["access"],
    opt={"problems": (409,)},
)
async def rotate_key(
    data: JSONBody[Rotation],
    key_id: FromPath[UUID],
    transaction: Transaction,
    caller: CallerOf,
    clock: Clock,
) -> Response[KeyMade]:
    """Replace a key by one that may do the same; both are accepted for `overlap_seconds`, so that nobody is locked out."""
    now = clock()
    old_ends_at = now + timedelta(seconds=data.overlap_seconds)
    key, text = await keys.rotate(transaction, key_id, now=now, old_ends_at=old_ends_at)
    details = {"by": str(key.key_id), "old_ends_at": old_ends_at}
    await audit.insert(transaction, caller.key_id, action="rotate", subject=f"keys/{key_id}", details=details)
    return _made(key, text)


@delete(
    "/v1/keys/{key_id:uuid}",
    guards=[require("admin")],
    operation_id="retireKey",
    tags=["access"],
    opt={"problems": (409,)},
)
async def retire_key(
    key_id: FromPath[UUID], transaction: Transaction, caller: CallerOf, clock: Clock
) -> None:
    """Retire a key: it is refused at once, everywhere. A key can't retire itself."""
    if key_id == caller.key_id:
        raise OwnKeyError("this is the key of the request itself; retire it with another admin key")
    await keys.retire(transaction, key_id, clock())
    await audit.insert(transaction, caller.key_id, action="retire", subject=f"keys/{key_id}")


@get("/v1/audit", guards=[require("admin")], operation_id="listAudit", tags=["access"])
async def list_audit(
    transaction: Transaction,
    limit: lists.Limit = 100,
    cursor: lists.Cursor = None,
    key_id: KeyFilter = None,
    action: ActionFilter = None,
    subject: SubjectFilter = None,
    since: Since = None,
) -> lists.Page[AuditEntry]:
    """List who wrote what and when, the newest first. Every write has an entry, and no entry is ever changed."""
    (before,) = lists.decode_cursor(cursor, tuple[int]) or (None,)
    rows = await audit.list_page(
        transaction,
        before=before,
        limit=limit + 1,
        key_id=key_id,
        action=action,
        subject=subject,
        since=since,
    )
    return lists.page(rows, limit, key=lambda entry: (entry.audit_id,))


ROUTES = [list_keys, create_key, rotate_key, retire_key, list_audit]
