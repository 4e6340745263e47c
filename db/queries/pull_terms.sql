-- name: find_terms
-- Arrays are empty where nothing but zeros would stand in them.
SELECT c.policy_number, c.history_basis, c.lead_days,
    coalesce(c.on_hand_units, 0) AS on_hand_units,
    coalesce(nullif(t.receipts_units[n.first_at:n.last_at], '{}'), n.nothing) AS receipts_units,
    coalesce(nullif(t.target_units[n.first_at:n.last_at], '{}'), n.nothing) AS target_units
FROM plan_book_parts AS p
INNER JOIN plan_pull_terms AS t ON t.plan_id = p.of_plan_id AND t.first_pair = p.of_first_row
CROSS JOIN LATERAL unnest(
    t.product_codes, t.region_codes, t.policy_numbers, t.history_bases, t.lead_days, t.on_hand_units
) WITH ORDINALITY AS c (
    product_code, region_code, policy_number, history_basis, lead_days, on_hand_units, position
)
CROSS JOIN LATERAL (
    SELECT (c.position::integer - 1) * h.horizon_buckets + 1 AS first_at,
        c.position::integer * h.horizon_buckets AS last_at,
        array_fill(0::double precision, ARRAY[h.horizon_buckets]) AS nothing
    FROM plans AS h WHERE h.plan_id = p.plan_id
) AS n
WHERE p.plan_id = $1 AND p.book = 'terms' AND p.first_product_code <= $2 AND p.last_product_code >= $2
    AND c.product_code = $2 AND c.region_code = $3;
