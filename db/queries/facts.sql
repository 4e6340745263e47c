-- name: prepare_snapshot
-- Right after a large load there are no statistics yet: the planner takes the tables for tiny, and a nested loop
-- over them runs for hours. Everything here reads whole tables, so that hash joins are never wrong.
SELECT set_config('enable_nestloop', 'off', true), set_config('work_mem', '64MB', true);

-- name: prefer_hash_joins
-- A snapshot reads whole tables, often just after a load and before any statistics: then a nested loop over the
-- ledger, once for each counted product x region, takes minutes instead of a second.
SET LOCAL enable_nestloop = off;

-- name: read_moment
SELECT
    now() AS snapshot_at,
    pg_current_snapshot()::text AS seen,
    coalesce($1::timestamptz, now()) AS as_of,
    (coalesce($1::timestamptz, now()) AT TIME ZONE $2::text)::date AS as_of_date;

-- name: list_products
SELECT product_code, weight_kg, value_per_unit, holding_cost_per_unit_per_day, largest_share, shelf_life_days,
    effective_from, effective_until, minimum_lot_units, lot_multiple_units, maximum_lot_units
FROM products WHERE retired_at IS NULL ORDER BY product_code;

-- name: list_regions
SELECT region_code, latitude, longitude FROM regions WHERE retired_at IS NULL ORDER BY region_code;

-- name: list_nodes
SELECT node_code, latitude, longitude, status, capacity_share
FROM nodes WHERE retired_at IS NULL ORDER BY node_code;

-- name: list_resources
SELECT r.node_code, r.resource_code, r.kind, r.capacity_per_day, r.working_weekdays, r.on_hand
FROM resources AS r JOIN nodes AS n USING (node_code)
WHERE n.retired_at IS NULL ORDER BY r.node_code, r.resource_code;

-- name: list_capacity_exceptions
SELECT e.node_code, e.resource_code, e.from_date, e.until_date, e.capacity_per_day
FROM capacity_exceptions AS e JOIN nodes AS n USING (node_code)
WHERE n.retired_at IS NULL ORDER BY e.node_code, e.resource_code, e.from_date;

-- name: list_capabilities
SELECT c.node_code, c.product_code, c.unit_cost, c.make_lead_time_days, c.use_per_unit, c.yield_share, c.qualified,
    c.effective_from, c.effective_until,
    c.minimum_lot_units, c.lot_multiple_units, c.maximum_lot_units, c.setup_use_per_order
FROM capabilities AS c JOIN nodes AS n USING (node_code) JOIN products AS p USING (product_code)
WHERE n.retired_at IS NULL AND p.retired_at IS NULL ORDER BY c.node_code, c.product_code;

-- name: list_lanes
SELECT l.node_code, l.region_code, l.distance_km, l.transit_days, l.freight_cost_per_unit, l.forbidden,
    l.effective_from, l.effective_until
FROM lanes AS l JOIN nodes AS n USING (node_code) JOIN regions AS r USING (region_code)
WHERE n.retired_at IS NULL AND r.retired_at IS NULL ORDER BY l.node_code, l.region_code;

-- name: list_policies
-- Those in force on a day; of several for the same codes the one that began last.
SELECT DISTINCT ON (product_code, region_code) product_code, region_code, policy, service_level_share, review_period_days, consume_buckets_back,
    consume_buckets_forward, lead_probability_min, history_basis,
    lead_time_factor, variability_factor, usage_basis, usage_past_days, usage_forward_days, usage_past_share,
    order_cycle_days, minimum_order_units, order_multiple_units, maximum_order_units, demand_adjustment_factor,
    lead_time_adjustment_factor, red_zone_factor, yellow_zone_factor, green_zone_factor,
    spike_threshold_units, spike_horizon_days, buffer_rounding, buffer_tolerance_share, minimum_stock_units, maximum_stock_units
FROM policies
WHERE coalesce(effective_from <= $1, TRUE) AND coalesce(effective_until > $1, TRUE)
ORDER BY product_code, region_code, effective_from DESC NULLS LAST;

-- name: list_consumption_pairs
SELECT s.product_code, s.region_code
FROM (
    SELECT DISTINCT product_code, region_code FROM demand_signals
    WHERE superseded_at IS NULL AND kind = 'consumption' AND occurred_at <= $1
) AS s JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
WHERE p.retired_at IS NULL AND r.retired_at IS NULL
ORDER BY s.product_code, s.region_code;

-- name: list_open_orders
-- What is shipped after as_of is still open at as_of, and an order that was amended after it is what it was before.
SELECT o.external_id, o.product_code, o.region_code, o.units AS ordered_units, o.shipped_units, o.due_date, o.priority
FROM (
    SELECT s.source, s.external_id, s.product_code, s.region_code, s.units, s.due_date, s.priority,
        CASE WHEN s.shipped_at > $1 THEN shipped_units_before(s, $1) ELSE coalesce(s.shipped_units, 0) END
            AS shipped_units
    FROM demand_signals_at($1, 'order') AS s
    WHERE NOT s.cancelled
) AS o JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
WHERE o.shipped_units < o.units AND p.retired_at IS NULL AND r.retired_at IS NULL
ORDER BY o.product_code, o.region_code, o.external_id, o.source;

-- name: list_leads
SELECT s.external_id, s.product_code, s.region_code, s.units, s.probability, s.due_date, s.priority
FROM demand_signals_at($1, 'lead') AS s JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
WHERE NOT s.cancelled
    AND p.retired_at IS NULL AND r.retired_at IS NULL
ORDER BY s.product_code, s.region_code, s.external_id, s.source;

-- name: list_stock
-- Sums are taken in numeric: exact, hence the same in whatever order the rows come.
WITH counts AS (
    SELECT DISTINCT ON (c.product_code, c.region_code) c.product_code, c.region_code, c.counted_at,
        c.on_hand_units - c.reserved_units - c.blocked_units AS count_units
    FROM stock_counts AS c JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
    WHERE c.counted_at <= $1 AND p.retired_at IS NULL AND r.retired_at IS NULL
    ORDER BY c.product_code, c.region_code, c.counted_at DESC, c.source DESC, c.external_id DESC
),
consumed AS (
    SELECT c.product_code, c.region_code, sum(s.units::numeric) AS consumed
    FROM counts AS c JOIN demand_signals AS s USING (product_code, region_code)
    WHERE s.superseded_at IS NULL AND s.kind = 'consumption' AND s.occurred_at > c.counted_at AND s.occurred_at <= $1
    GROUP BY c.product_code, c.region_code
),
shipped AS (
    -- Of an order that was shipped in parts only what went out since the count.
    SELECT c.product_code, c.region_code,
        sum(
            CASE WHEN s.shipped_at > $1 THEN shipped_units_before(s, $1) ELSE s.shipped_units END::numeric
            - shipped_units_before(s, c.counted_at)::numeric
        ) AS shipped
    FROM counts AS c JOIN demand_signals_at($1, 'order') AS s USING (product_code, region_code)
    WHERE s.shipped_at > c.counted_at
    GROUP BY c.product_code, c.region_code
),
receipts AS (
    -- Of a line that was received in parts only what came since the count.
    SELECT c.product_code, c.region_code,
        sum(
            CASE WHEN o.receipt_at > $1 THEN received_units_before(o, $1) ELSE o.received_units END::numeric
            - received_units_before(o, c.counted_at)::numeric
        ) AS received
    FROM counts AS c JOIN open_supply AS o USING (product_code, region_code)
    WHERE o.receipt_at > c.counted_at
    GROUP BY c.product_code, c.region_code
)
SELECT c.product_code, c.region_code, c.counted_at, c.count_units,
    coalesce(i.consumed, 0)::double precision AS consumed_units_since,
    coalesce(o.shipped, 0)::double precision AS shipped_units_since,
    coalesce(n.received, 0)::double precision AS received_units_since
FROM counts AS c
LEFT JOIN consumed AS i USING (product_code, region_code)
LEFT JOIN shipped AS o USING (product_code, region_code)
LEFT JOIN receipts AS n USING (product_code, region_code)
ORDER BY c.product_code, c.region_code;

-- name: list_node_stock
SELECT c.node_code, c.product_code, c.units
FROM (
    SELECT DISTINCT ON (node_code, product_code) node_code, product_code,
        on_hand_units - reserved_units - blocked_units AS units
    FROM node_stock_counts WHERE counted_at <= $1
    ORDER BY node_code, product_code, counted_at DESC, source DESC, external_id DESC
) AS c
WHERE c.units > 0
ORDER BY c.node_code, c.product_code;

-- name: list_open_supply
-- What is received after as_of is still to come at as_of; a line that was closed with a later receipt was open.
SELECT o.external_id, o.product_code, o.region_code, o.units, o.due_date, o.work_order_id
FROM (
    SELECT s.source, s.external_id, s.product_code, s.region_code, s.due_date, s.work_order_id,
        s.units - CASE WHEN s.receipt_at > $1 THEN received_units_before(s, $1) ELSE s.received_units END AS units
    FROM open_supply AS s WHERE NOT s.closed OR s.receipt_at > $1
) AS o JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
WHERE o.units > 0 AND p.retired_at IS NULL AND r.retired_at IS NULL
ORDER BY o.product_code, o.region_code, o.external_id, o.source;

-- name: list_daily_consumption
-- $1: as_of's day, $2: time zone, $3: the first day, null: all there ever was,
-- $4 and $5: pairs, null: all. Sums in numeric, as for stock.
SELECT d.product_code, d.region_code, d.day, d.units
FROM (
    SELECT s.product_code, s.region_code, (s.occurred_at AT TIME ZONE $2::text)::date AS day,
        sum(s.units::numeric)::double precision AS units
    FROM demand_signals_of($4::text [], $5::text []) AS s
    WHERE s.superseded_at IS NULL AND s.kind = 'consumption'
        AND s.occurred_at < ($1::date::timestamp AT TIME ZONE $2::text)
        AND ($3::date IS NULL OR s.occurred_at >= ($3::date::timestamp AT TIME ZONE $2::text))
    GROUP BY s.product_code, s.region_code, day
) AS d JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
WHERE p.retired_at IS NULL AND r.retired_at IS NULL
ORDER BY d.product_code, d.region_code, d.day;

-- name: list_daily_orders
-- $1: as_of's day, $2: as_of, $3: the first day, null: all there ever was, $4 and $5: pairs, null: all.
-- Of a cancelled order what was shipped was demanded all the same.
SELECT d.product_code, d.region_code, d.day, d.units
FROM (
    SELECT s.product_code, s.region_code, s.due_date AS day,
        sum(CASE WHEN s.cancelled THEN s.shipped_units ELSE s.units END::numeric)::double precision AS units
    FROM demand_signals_of($4::text [], $5::text []) AS s
    WHERE s.superseded_at IS NULL AND s.kind = 'order'
        AND (NOT s.cancelled OR (s.shipped_units > 0 AND s.shipped_at <= $2))
        AND s.due_date < $1 AND s.occurred_at <= $2 AND ($3::date IS NULL OR s.due_date >= $3)
    GROUP BY s.product_code, s.region_code, s.due_date
) AS d JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
WHERE p.retired_at IS NULL AND r.retired_at IS NULL
ORDER BY d.product_code, d.region_code, d.day;

-- name: list_adjustments
-- $1: as_of's day, $2: as_of, $3 and $4: pairs, null: all. Whatever reaches into as_of's bucket (at most a week long) or beyond.
SELECT s.external_id, s.product_code, s.region_code, s.from_date, s.until_date, s.multiplier, s.units
FROM demand_signals_of($3::text [], $4::text []) AS s JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
WHERE s.superseded_at IS NULL AND s.kind = 'adjustment' AND NOT s.cancelled
    AND s.until_date > $1::date - 7 AND s.occurred_at <= $2
    AND p.retired_at IS NULL AND r.retired_at IS NULL
ORDER BY s.product_code, s.region_code, s.external_id, s.source;

-- name: list_promotions
-- $1: as_of's day, $2: as_of, $3 and $4: pairs, null: all. What people had announced and has been.
SELECT s.external_id, s.product_code, s.region_code, s.from_date, least(s.until_date, $1::date) AS until_date
FROM demand_signals_of($3::text [], $4::text []) AS s JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
WHERE s.superseded_at IS NULL AND s.kind = 'adjustment' AND s.reason = 'promotion' AND NOT s.cancelled
    AND s.from_date < $1::date AND s.occurred_at <= $2
    AND p.retired_at IS NULL AND r.retired_at IS NULL
ORDER BY s.product_code, s.region_code, s.from_date, s.external_id, s.source;

-- name: list_usage_exclusions
-- $1: as_of's day, $2: the first day that buffers look at. What people have excluded of the days between.
SELECT product_code, region_code, from_date, until_date, reason
FROM usage_exclusions WHERE from_date < $1 AND until_date > $2
ORDER BY product_code, region_code, from_date;

-- name: list_out_of_stock
-- $1: as_of, $2: time zone, $3 and $4: pairs, null: all. From a count of nothing to the next count or receipt; a count tells of a week at most.
WITH counts AS (
    SELECT c.product_code, c.region_code, c.counted_at,
        c.on_hand_units - c.reserved_units - c.blocked_units AS units,
        lead(c.counted_at) OVER (
            PARTITION BY c.product_code, c.region_code ORDER BY c.counted_at, c.source, c.external_id
        ) AS next_count_at
    FROM stock_counts_of($3::text [], $4::text []) AS c JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
    WHERE c.counted_at <= $1 AND p.retired_at IS NULL AND r.retired_at IS NULL
),
empty AS (
    SELECT c.product_code, c.region_code, c.counted_at,
        least(c.counted_at + interval '7 days', c.next_count_at, min(o.receipt_at), $1) AS until_at
    FROM counts AS c LEFT JOIN open_supply AS o
        ON o.product_code = c.product_code AND o.region_code = c.region_code AND o.receipt_at > c.counted_at
    WHERE c.units <= 0
    GROUP BY c.product_code, c.region_code, c.counted_at, c.next_count_at
)
SELECT e.product_code, e.region_code, (e.counted_at AT TIME ZONE $2::text)::date AS from_date,
    (e.until_at AT TIME ZONE $2::text)::date AS until_date
FROM empty AS e
WHERE (e.until_at AT TIME ZONE $2::text)::date > (e.counted_at AT TIME ZONE $2::text)::date
ORDER BY e.product_code, e.region_code, from_date, until_date;
