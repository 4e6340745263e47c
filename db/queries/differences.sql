-- name: list_needs
-- Needs of two plans that are served otherwise, with both plans' lines. $1, $2: the plans; $3 … $4: due in these
-- days; $5 … $9: after this need; $10 … $12: product, region, tier.
WITH before AS (
    SELECT n.product_code, n.region_code, n.bucket_date, n.tier, n.rank, n.units, n.shortfall_units, l.lines, l.places
    FROM plan_needs_of($1) AS n LEFT JOIN (
        SELECT need_id,
            jsonb_agg(jsonb_build_array(node_code, start_bucket_date, arrival_bucket_date, units, cost_per_unit)) AS lines,
            jsonb_agg(jsonb_build_array(node_code, start_bucket_date, units) ORDER BY node_code, start_bucket_date) AS places
        FROM plan_assignments_of($1) GROUP BY need_id
    ) AS l USING (need_id)
    WHERE n.bucket_date BETWEEN $3 AND $4
),
after AS (
    SELECT n.product_code, n.region_code, n.bucket_date, n.tier, n.rank, n.units, n.shortfall_units, l.lines, l.places
    FROM plan_needs_of($2) AS n LEFT JOIN (
        SELECT need_id,
            jsonb_agg(jsonb_build_array(node_code, start_bucket_date, arrival_bucket_date, units, cost_per_unit)) AS lines,
            jsonb_agg(jsonb_build_array(node_code, start_bucket_date, units) ORDER BY node_code, start_bucket_date) AS places
        FROM plan_assignments_of($2) GROUP BY need_id
    ) AS l USING (need_id)
    WHERE n.bucket_date BETWEEN $3 AND $4
)
SELECT product_code, region_code, bucket_date, tier, rank,
    b.units AS units_before, b.shortfall_units AS short_before, b.lines AS lines_before,
    a.units AS units_after, a.shortfall_units AS short_after, a.lines AS lines_after
FROM before AS b FULL JOIN after AS a USING (product_code, region_code, bucket_date, tier, rank)
WHERE (product_code, region_code, bucket_date, tier, rank) > ($5, $6, $7, $8, $9)
    AND ($10::text IS NULL OR product_code = $10) AND ($11::text IS NULL OR region_code = $11)
    AND ($12::text IS NULL OR tier = $12)
    AND (
        b.places IS DISTINCT FROM a.places OR b.units IS DISTINCT FROM a.units
        OR b.shortfall_units IS DISTINCT FROM a.shortfall_units
    )
ORDER BY product_code, region_code, bucket_date, tier, rank;

-- name: list_cost_prices
SELECT node_code, resource_code, bucket_date, price FROM plan_prices WHERE plan_id = $1 AND stage = $2;

-- name: list_capacities
SELECT node_code, resource_code, bucket_date, capacity FROM plan_loads WHERE plan_id = $1;
