-- name: stage
CREATE TEMP TABLE staged_node_stock_counts (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE node_stock_counts INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'external_id', source || ' ' || external_id, first_ordinal
FROM (SELECT ordinal, source, external_id, min(ordinal) OVER (PARTITION BY source, external_id) AS first_ordinal FROM staged_node_stock_counts) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'unknown-code', 'product_code', staged.product_code, NULL
FROM staged_node_stock_counts AS staged
LEFT JOIN products AS parent ON parent.product_code = staged.product_code AND parent.retired_at IS NULL
WHERE parent.product_code IS NULL
  AND NOT EXISTS (
    SELECT FROM node_stock_counts AS stored
    WHERE stored.source = staged.source AND stored.external_id = staged.external_id
      AND (stored.node_code, stored.product_code, stored.counted_at, stored.on_hand_units, stored.reserved_units, stored.blocked_units)
        IS NOT DISTINCT FROM (staged.node_code, staged.product_code, staged.counted_at, staged.on_hand_units, staged.reserved_units, staged.blocked_units)
  )
UNION ALL
SELECT ordinal, 'unknown-code', 'node_code', staged.node_code, NULL
FROM staged_node_stock_counts AS staged
LEFT JOIN nodes AS parent ON parent.node_code = staged.node_code AND parent.retired_at IS NULL
WHERE parent.node_code IS NULL
  AND NOT EXISTS (
    SELECT FROM node_stock_counts AS stored
    WHERE stored.source = staged.source AND stored.external_id = staged.external_id
      AND (stored.node_code, stored.product_code, stored.counted_at, stored.on_hand_units, stored.reserved_units, stored.blocked_units)
        IS NOT DISTINCT FROM (staged.node_code, staged.product_code, staged.counted_at, staged.on_hand_units, staged.reserved_units, staged.blocked_units)
  );

-- name: merge
INSERT INTO node_stock_counts AS stored (source, external_id, node_code, product_code, counted_at, on_hand_units, reserved_units, blocked_units)
SELECT source, external_id, node_code, product_code, counted_at, on_hand_units, reserved_units, blocked_units
FROM staged_node_stock_counts AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY source, external_id
ON CONFLICT (source, external_id) DO UPDATE SET
    node_code = excluded.node_code,
    product_code = excluded.product_code,
    counted_at = excluded.counted_at,
    on_hand_units = excluded.on_hand_units,
    reserved_units = excluded.reserved_units,
    blocked_units = excluded.blocked_units,
    received_at = now()
WHERE (stored.node_code, stored.product_code, stored.counted_at, stored.on_hand_units, stored.reserved_units, stored.blocked_units)
    IS DISTINCT FROM (excluded.node_code, excluded.product_code, excluded.counted_at, excluded.on_hand_units, excluded.reserved_units, excluded.blocked_units);

-- name: list_page
SELECT source, external_id, node_code, product_code, counted_at, on_hand_units, reserved_units, blocked_units, received_at
FROM node_stock_counts
WHERE (source, external_id) > (coalesce($1::text, ''), coalesce($2::text, ''))
  AND ($4::timestamptz IS NULL OR received_at >= $4)
  AND ($5::text IS NULL OR node_code = $5)
  AND ($6::text IS NULL OR product_code = $6)
  AND ($7::text IS NULL OR source = $7)
ORDER BY source, external_id
LIMIT $3;
