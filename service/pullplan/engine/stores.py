"""What may be sent of what lies finished at nodes, or in other regions, before anything is made?"""

from collections.abc import Mapping, Sequence

import msgspec

from pullplan.engine.model import Capability, Node, NodeStock, PlanningFacts, Resource

STORE = "(stock)"
"""Before a node's code it names what lies there: no code of a caller's holds brackets, and it comes before them all, so that
of ways that cost the same the one that makes nothing is taken."""


REGION = "(region)"
"""As STORE, before a region's code."""


def is_store(node_code: str) -> bool:
    """Tell by its code whether a node sends what there is, and makes nothing."""
    return node_code.startswith((STORE, REGION))


def with_stores(facts: PlanningFacts, stock: Sequence[NodeStock]) -> PlanningFacts:
    """Put a store beside every node where anything lies: at its place, with its lanes, and online while the node is.

    What a store has of a product is a stored resource, of which a unit that is sent takes one: it needs no time and costs
    nothing but its way. Lots are made, not sent. Stock of what facts don't know is left out.

    Source: the planning model, section 4: an option whose resource is that stock, with no make time.
    """
    nodes = {node.node_code: node for node in facts.nodes}
    products = {product.product_code for product in facts.products}
    there = [s for s in stock if s.units > 0 and s.node_code in nodes and s.product_code in products]
    stored_at = {s.node_code for s in there}
    stores = tuple(
        Node(
            node_code=STORE + code,
            latitude=nodes[code].latitude,
            longitude=nodes[code].longitude,
            status="offline" if nodes[code].status == "offline" else "online",
            stock_of=code,
        )
        for code in sorted(stored_at)
    )
    held = {(STORE + s.node_code, s.product_code): s.units for s in there}
    lanes = tuple(
        msgspec.structs.replace(lane, node_code=STORE + lane.node_code)
        for lane in facts.lanes
        if lane.node_code in stored_at
    )
    return msgspec.structs.replace(_with_held(facts, stores, held), lanes=facts.lanes + lanes)


def with_pooled_regions(facts: PlanningFacts, spare_units: Mapping[tuple[str, str], float]) -> PlanningFacts:
    """Put a store into every region that has more on hand than it needs, by product and region: others may be sent of it.

    Source: the planning model, section 4: stock of another region, as far as it exceeds that region's own projected need and
    target over the horizon.
    """
    planned = {product.product_code for product in facts.products}
    place = {region.region_code: region for region in facts.regions}
    held = {
        (REGION + region_code, product_code): units
        for (product_code, region_code), units in spare_units.items()
        if product_code in planned and region_code in place
    }
    stores = tuple(
        Node(
            node_code=code,
            latitude=place[code.removeprefix(REGION)].latitude,
            longitude=place[code.removeprefix(REGION)].longitude,
            stock_of_region=code.removeprefix(REGION),
        )
        for code in sorted({code for code, _ in held})
    )
    return _with_held(facts, stores, held)


def _with_held(
    facts: PlanningFacts, stores: tuple[Node, ...], held: Mapping[tuple[str, str], float]
) -> PlanningFacts:
    """Add stores with what they hold of products, each a stored resource of which a unit that is sent takes one."""
    resources = tuple(
        Resource(
            node_code=code, resource_code=product_code, kind="stored", capacity_per_day=0.0, on_hand=units
        )
        for (code, product_code), units in held.items()
    )
    capabilities = tuple(
        Capability(
            node_code=code,
            product_code=product_code,
            use_per_unit={product_code: 1.0},
            minimum_lot_units=0.0,
            lot_multiple_units=0.0,
            maximum_lot_units=0.0,
        )
        for code, product_code in held
    )
    return msgspec.structs.replace(
        facts,
        nodes=facts.nodes + stores,
        resources=facts.resources + resources,
        capabilities=facts.capabilities + capabilities,
    )
