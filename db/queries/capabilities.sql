-- name: stage
CREATE TEMP TABLE staged_capabilities (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE capabilities INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'product_code', node_code || ' ' || product_code, first_ordinal
FROM (SELECT ordinal, node_code, product_code, min(ordinal) OVER (PARTITION BY node_code, product_code) AS first_ordinal FROM staged_capabilities) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'unknown-code', 'node_code', staged.node_code, NULL
FROM staged_capabilities AS staged
LEFT JOIN nodes AS parent ON parent.node_code = staged.node_code AND parent.retired_at IS NULL
WHERE parent.node_code IS NULL
UNION ALL
SELECT ordinal, 'unknown-code', 'product_code', staged.product_code, NULL
FROM staged_capabilities AS staged
LEFT JOIN products AS parent ON parent.product_code = staged.product_code AND parent.retired_at IS NULL
WHERE parent.product_code IS NULL
UNION ALL
SELECT ordinal, 'unknown-code', 'use_per_unit', used.resource_code, NULL
FROM staged_capabilities AS staged
CROSS JOIN jsonb_object_keys(staged.use_per_unit) AS used (resource_code)
LEFT JOIN resources AS parent ON parent.node_code = staged.node_code AND parent.resource_code = used.resource_code
WHERE parent.resource_code IS NULL
UNION ALL
SELECT ordinal, 'unknown-code', 'setup_use_per_order', used.resource_code, NULL
FROM staged_capabilities AS staged
CROSS JOIN jsonb_object_keys(staged.setup_use_per_order) AS used (resource_code)
LEFT JOIN resources AS parent ON parent.node_code = staged.node_code AND parent.resource_code = used.resource_code
WHERE parent.resource_code IS NULL;

-- name: merge
INSERT INTO capabilities AS stored (node_code, product_code, unit_cost, make_lead_time_days, use_per_unit, yield_share, qualified, effective_from, effective_until, minimum_lot_units, lot_multiple_units, maximum_lot_units, setup_use_per_order)
SELECT node_code, product_code, unit_cost, make_lead_time_days, use_per_unit, yield_share, qualified, effective_from, effective_until, minimum_lot_units, lot_multiple_units, maximum_lot_units, setup_use_per_order
FROM staged_capabilities AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY node_code, product_code
ON CONFLICT (node_code, product_code) DO UPDATE SET
    unit_cost = excluded.unit_cost,
    make_lead_time_days = excluded.make_lead_time_days,
    use_per_unit = excluded.use_per_unit,
    yield_share = excluded.yield_share,
    qualified = excluded.qualified,
    effective_from = excluded.effective_from,
    effective_until = excluded.effective_until,
    minimum_lot_units = excluded.minimum_lot_units,
    lot_multiple_units = excluded.lot_multiple_units,
    maximum_lot_units = excluded.maximum_lot_units,
    setup_use_per_order = excluded.setup_use_per_order,
    updated_at = now()
WHERE (stored.unit_cost, stored.make_lead_time_days, stored.use_per_unit, stored.yield_share, stored.qualified, stored.effective_from, stored.effective_until, stored.minimum_lot_units, stored.lot_multiple_units, stored.maximum_lot_units, stored.setup_use_per_order)
    IS DISTINCT FROM (excluded.unit_cost, excluded.make_lead_time_days, excluded.use_per_unit, excluded.yield_share, excluded.qualified, excluded.effective_from, excluded.effective_until, excluded.minimum_lot_units, excluded.lot_multiple_units, excluded.maximum_lot_units, excluded.setup_use_per_order);

-- name: retire_absent
DELETE FROM capabilities AS stored
WHERE NOT EXISTS (SELECT FROM staged_capabilities AS staged WHERE staged.node_code = stored.node_code AND staged.product_code = stored.product_code);

-- name: retire_absent_of_node
DELETE FROM capabilities AS stored
WHERE node_code = $1
  AND NOT EXISTS (SELECT FROM staged_capabilities AS staged WHERE staged.node_code = stored.node_code AND staged.product_code = stored.product_code);

-- name: list_for_node
SELECT node_code, product_code, unit_cost, make_lead_time_days, use_per_unit, yield_share, qualified, effective_from, effective_until, minimum_lot_units, lot_multiple_units, maximum_lot_units, setup_use_per_order, updated_at
FROM capabilities
WHERE node_code = $1
ORDER BY product_code;

-- name: list_page
SELECT node_code, product_code, unit_cost, make_lead_time_days, use_per_unit, yield_share, qualified, effective_from, effective_until, minimum_lot_units, lot_multiple_units, maximum_lot_units, setup_use_per_order, updated_at
FROM capabilities
WHERE (node_code, product_code) > (coalesce($1::text, ''), coalesce($2::text, ''))
  AND ($4::timestamptz IS NULL OR updated_at >= $4)
  AND ($5::text IS NULL OR node_code = $5)
  AND ($6::text IS NULL OR product_code = $6)
ORDER BY node_code, product_code
LIMIT $3;
