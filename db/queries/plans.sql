-- name: insert_plan
INSERT INTO plans (
    plan_id, run_id, forecast_id, as_of, bucket, first_bucket_date, horizon_buckets, objective, parameters,
    snapshot_at, snapshot_hash, plan_hash, method, tie_break, reproducible, stages, figures, wall_seconds,
    code_version, parent_plan_id, base_plan_id, stability
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22);

-- name: insert_snapshot
INSERT INTO plan_snapshots (plan_id, facts) VALUES ($1, $2);

-- name: find_plan
SELECT plan_id, run_id, forecast_id, as_of, bucket, first_bucket_date, horizon_buckets, objective, parameters,
    snapshot_at, snapshot_hash, plan_hash, method, tie_break, reproducible, stages, figures, wall_seconds,
    code_version, created_at, parent_plan_id, stability
FROM plans WHERE plan_id = $1;

-- name: find_snapshot
SELECT facts FROM plan_snapshots WHERE plan_id = $1;

-- name: list_plans
SELECT plan_id, run_id, forecast_id, as_of, bucket, first_bucket_date, horizon_buckets, objective, parameters,
    snapshot_at, snapshot_hash, plan_hash, method, tie_break, reproducible, stages, figures, wall_seconds,
    code_version, created_at, parent_plan_id, stability
FROM plans
WHERE (created_at, plan_id) < ($1, $2) AND created_at >= $3
ORDER BY created_at DESC, plan_id DESC LIMIT $4;

-- name: list_busiest
-- A stored resource offers what lies there at last plus what was used before; a renewed one its sum.
SELECT node_code, resource_code, kind, capacity, used,
    CASE WHEN capacity > 0 THEN used / capacity END AS use_share
FROM (
    SELECT node_code, resource_code, kind, sum(used) AS used,
        CASE kind WHEN 'stored' THEN max(capacity + used_before) ELSE sum(capacity) END AS capacity
    FROM (
        SELECT node_code, resource_code, kind, capacity, used,
            coalesce(sum(used) OVER (
                PARTITION BY node_code, resource_code ORDER BY bucket_date
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ), 0) AS used_before
        FROM plan_loads WHERE plan_id = $1
    ) AS by_bucket
    GROUP BY node_code, resource_code, kind
) AS by_resource
ORDER BY use_share DESC NULLS LAST, node_code, resource_code;

-- name: list_needs
SELECT need_id, product_code, region_code, bucket_date, tier, rank, units, assigned_units, shortfall_units,
    pinned_node_code, pinned_start_bucket_date
FROM plan_needs_of($1)
WHERE need_id > $2
    AND ($3::text IS NULL OR product_code = $3) AND ($4::text IS NULL OR region_code = $4)
    AND ($5::text IS NULL OR tier = $5)
ORDER BY need_id LIMIT $6;

-- name: list_assignments
SELECT assignment_id, need_id, product_code, region_code, node_code, tier, need_bucket_date, start_bucket_date,
    arrival_bucket_date, units, coalesce(started_units, units) AS started_units, distance_km, cost_per_unit,
    distance_rank, passed_over,
    CASE WHEN starts_with(node_code, '(') THEN 'transfer' ELSE 'production' END AS kind
FROM plan_assignments_of($1)
WHERE assignment_id > $2
    AND ($3::text IS NULL OR product_code = $3) AND ($4::text IS NULL OR region_code = $4)
    AND ($5::text IS NULL OR node_code = $5) AND ($6::text IS NULL OR tier = $6)
ORDER BY assignment_id LIMIT $7;

-- name: find_need
SELECT need_id, product_code, region_code, bucket_date, tier, rank, units, assigned_units, shortfall_units,
    pinned_node_code, pinned_start_bucket_date
FROM plan_needs_of($1) WHERE need_id = $2;

-- name: find_assignment
SELECT assignment_id, need_id, product_code, region_code, node_code, tier, need_bucket_date, start_bucket_date,
    arrival_bucket_date, units, coalesce(started_units, units) AS started_units, distance_km, cost_per_unit,
    distance_rank, passed_over,
    CASE WHEN starts_with(node_code, '(') THEN 'transfer' ELSE 'production' END AS kind, coalesce(told_in_plan_id, plan_id) AS told_in_plan_id
FROM plan_assignments_of($1) WHERE assignment_id = $2;

-- name: find_shortfall
SELECT shortfall_id, need_id, product_code, region_code, tier, need_bucket_date, units, reason, detail
FROM plan_shortfalls_of($1) WHERE shortfall_id = $2;

-- name: list_shortfalls
SELECT shortfall_id, need_id, product_code, region_code, tier, need_bucket_date, units, reason, detail
FROM plan_shortfalls_of($1)
WHERE shortfall_id > $2
    AND ($3::text IS NULL OR product_code = $3) AND ($4::text IS NULL OR region_code = $4)
    AND ($5::text IS NULL OR tier = $5)
ORDER BY shortfall_id LIMIT $6;

-- name: list_prices
-- A code that the price is not of is empty in the key, and null for callers.
SELECT stage, node_code, nullif(resource_code, '') AS resource_code, nullif(product_code, '') AS product_code,
    bucket_date, price
FROM plan_prices
WHERE plan_id = $1
    AND (stage, node_code, plan_prices.resource_code, plan_prices.product_code, bucket_date) > ($2, $3, $4, $5, $6)
    AND ($7::text IS NULL OR node_code = $7)
ORDER BY stage, node_code, plan_prices.resource_code, plan_prices.product_code, bucket_date LIMIT $8;

-- name: list_loads
SELECT node_code, resource_code, bucket_date, kind, capacity, used
FROM plan_loads
WHERE plan_id = $1 AND (node_code, resource_code, bucket_date) > ($2, $3, $4)
    AND ($5::text IS NULL OR node_code = $5)
ORDER BY node_code, resource_code, bucket_date LIMIT $6;

-- name: list_production_orders
SELECT production_order_id, product_code, node_code, start_bucket_date, units, n_lots, lot_units, n_smaller_lots,
    smaller_lot_units, surplus_units, surplus_region_code
FROM plan_production_orders
WHERE plan_id = $1 AND production_order_id > $2
    AND ($3::text IS NULL OR product_code = $3) AND ($4::text IS NULL OR node_code = $4)
ORDER BY production_order_id LIMIT $5;
