"""What would each product × region pull by other policies?"""

from collections import defaultdict

from pullplan.engine.demand import Pair, PolicyBook
from pullplan.engine.model import BufferDerivation, PlanningFacts, PolicyEffect, Pulled
from pullplan.engine.netting.needs import derive_buffers, net_lines
from pullplan.engine.netting.ordering import number_needs


def compare_policies(before: PlanningFacts, after: PlanningFacts) -> list[PolicyEffect]:
    """Net the same facts by both books of policies; tell the pairs that pull otherwise, by product and region."""
    was, now = _pulled(before), _pulled(after)
    old, new = PolicyBook(before.policies), PolicyBook(after.policies)
    n_buckets = before.horizon.horizon_buckets
    effects = []
    for pair in sorted(was.keys() | now.keys()):
        sides = [of.get(pair) or _nothing(book, pair, n_buckets) for of, book in ((was, old), (now, new))]
        if sides[0] != sides[1]:
            effects.append(
                PolicyEffect(
                    product_code=pair[0],
                    region_code=pair[1],
                    before=sides[0],
                    after=sides[1],
                    needed_units_before=sum(sides[0].needed_units),
                    needed_units_after=sum(sides[1].needed_units),
                )
            )
    return effects


def _nothing(book: PolicyBook, pair: Pair, n_buckets: int) -> Pulled:
    zeros = (0.0,) * n_buckets
    return _pulled_by(book, pair, zeros, None, zeros)


def _pulled(facts: PlanningFacts) -> dict[Pair, Pulled]:
    """Tell what every pair pulls of which anything is known."""
    book, n_buckets = PolicyBook(facts.policies), facts.horizon.horizon_buckets
    netted = net_lines(facts)
    needed: dict[Pair, list[float]] = defaultdict(lambda: [0.0] * n_buckets)
    for need in number_needs(netted.open_lines, netted.pairs, facts):
        needed[need.product_code, need.region_code][need.bucket] += need.units
    buffers = {(b.product_code, b.region_code): b for b in derive_buffers(facts)}
    targets: dict[Pair, tuple[float, ...]] = {}
    if netted.covered is not None:
        # Pairs that there is something to net against come first.
        by_pair = netted.covered.flow.target_units.T.tolist()
        targets = {pair: tuple(of_pair) for pair, of_pair in zip(netted.pairs, by_pair, strict=False)}
    zeros = (0.0,) * n_buckets
    return {
        pair: _pulled_by(book, pair, targets.get(pair, zeros), buffers.get(pair), tuple(needed[pair]))
        for pair in netted.pairs
    }


def _pulled_by(
    book: PolicyBook,
    pair: Pair,
    target_units: tuple[float, ...],
    buffer: BufferDerivation | None,
    needed_units: tuple[float, ...],
) -> Pulled:
    return Pulled(
        policy=book.policy_of(*pair).policy,
        target_units=target_units,
        top_of_red_units=None if buffer is None else buffer.top_of_red_units,
        top_of_yellow_units=None if buffer is None else buffer.top_of_yellow_units,
        top_of_green_units=None if buffer is None else buffer.top_of_green_units,
        needed_units=needed_units,
        buffer_warnings=() if buffer is None else buffer.warnings,
    )
