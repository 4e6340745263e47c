"""What was each product × region's demand netted against?"""

import numpy as np

from pullplan.engine.demand import history_basis
from pullplan.engine.model import PlanningFacts, PullPolicy, PullTerms
from pullplan.engine.netting.needs import Netted


def pull_terms(facts: PlanningFacts, netted: Netted) -> PullTerms:
    """Lay out each pair's policy, lead time, stock, receipts and targets, as they went into its needs."""
    order = sorted(range(len(netted.pairs)), key=netted.pairs.__getitem__)
    pairs = [netted.pairs[i] for i in order]
    policies = [netted.book.policy_of(*pair) for pair in pairs]
    number = {id(policy): n for n, policy in enumerate(facts.policies)}
    consumed = frozenset(facts.consumption_pairs)
    on_hand = np.zeros(len(pairs))
    receipts, targets = np.zeros((2, len(pairs), facts.horizon.horizon_buckets))
    if netted.covered is not None:
        flow = netted.covered.flow
        rows = np.array(order, dtype=np.intp)
        known = np.flatnonzero(rows < flow.on_hand_units.size)
        on_hand[known] = flow.on_hand_units[rows[known]]
        receipts[known] = flow.receipts_units.T[rows[known]]
        targets[known] = flow.target_units.T[rows[known]]
    return PullTerms(
        product_codes=[product_code for product_code, _ in pairs],
        region_codes=[region_code for _, region_code in pairs],
        policy_numbers=[number.get(id(policy), -1) for policy in policies],
        history_bases=[
            history_basis(policy, has_consumption=pair in consumed)
            for pair, policy in zip(pairs, policies, strict=True)
        ],
        lead_days=[
            netted.lead_days.get(pair) if _asks_for_lead_days(policy, facts) else None
            for pair, policy in zip(pairs, policies, strict=True)
        ],
        on_hand_units=on_hand.tolist(),
        receipts_units=receipts.ravel().tolist(),
        target_units=targets.ravel().tolist(),
    )


def _asks_for_lead_days(policy: PullPolicy, facts: PlanningFacts) -> bool:
    """Tell it by the pair's own policy: what other pairs ask for is nothing of its own."""
    return policy.policy == "ddmrp_buffer" or (policy.counts_forecast and facts.forecast is not None)
