"""Are facts and lines those that the plan's hashes name?"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from typing import Any

import msgspec

from pullplan.engine.model import Finding, Forecast, Plan, PlanningFacts

ENCODED_TOGETHER = 4096
"""Lines: a million of them would take hundreds of megabytes at once."""

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


def check_hashes(facts: PlanningFacts, plan: Plan, facts_hash: str | None) -> Iterator[Finding]:
    """Hash facts, where their hash is not known from where they are stored, and lines again."""
    if (facts_hash or _sha256(_facts(facts))) != plan.snapshot_hash:
        yield Finding(
            code="snapshot_hash_wrong",
            detail=f"the stored facts are not those that the snapshot hash {plan.snapshot_hash[:12]}… names",
        )
    if _sha256(_lines(plan)) != plan.plan_hash:
        yield Finding(
            code="plan_hash_wrong",
            detail=f"needs, lines, prices and stages are not those that the plan hash {plan.plan_hash[:12]}… names",
        )


def _facts(facts: PlanningFacts) -> Iterator[bytes]:
    """Encode facts, every collection in the order of its members' encodings."""
    yield _header(len(facts.__struct_fields__), few=0x80, many=0xDE)
    for name in facts.__struct_fields__:
        yield _ENCODER.encode(name)
        match getattr(facts, name):
            case tuple() as members:
                yield _header(len(members), few=0x90, many=0xDC)
                for batch in batched(sorted(map(_ENCODER.encode, members)), ENCODED_TOGETHER):
                    yield b"".join(batch)
            case Forecast() as forecast:
                series = tuple(sorted(forecast.series, key=_ENCODER.encode))
                yield _ENCODER.encode(msgspec.structs.replace(forecast, series=series))
            case other:
                yield _ENCODER.encode(other)


def _lines(plan: Plan) -> Iterator[bytes | memoryview]:
    said: list[Sequence[Any]] = [plan.needs, plan.assignments, plan.shortfalls, plan.prices, plan.stages]
    if plan.production_orders:
        said.append(plan.production_orders)
    is_replan = plan.stability is not None
    yield _header(len(said) + is_replan, few=0x90, many=0xDC)
    for rows in said:
        yield _header(len(rows), few=0x90, many=0xDC)
        for batch in batched(rows, ENCODED_TOGETHER):
            yield memoryview(_ENCODER.encode(batch))[len(_header(len(batch), few=0x90, many=0xDC)) :]
    if is_replan:
        yield _ENCODER.encode(plan.stability)


def _header(n: int, *, few: int, many: int) -> bytes:
    """Write what msgpack writes before n members: up to 15, of 16 bits, of 32 bits."""
    if n < 1 << 4:
        return bytes([few | n])
    return bytes([many]) + n.to_bytes(2) if n < 1 << 16 else bytes([many + 1]) + n.to_bytes(4)


def _sha256(pieces: Iterable[bytes | memoryview]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
