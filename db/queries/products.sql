-- name: stage
CREATE TEMP TABLE staged_products (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE products INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'product_code', product_code, first_ordinal
FROM (SELECT ordinal, product_code, min(ordinal) OVER (PARTITION BY product_code) AS first_ordinal FROM staged_products) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'source-revision-stale', 'source_revision', staged.source_revision || ' is not above ' || stored.source_revision, NULL
FROM staged_products AS staged
JOIN products AS stored ON stored.product_code = staged.product_code
WHERE stored.source_revision > staged.source_revision;

-- name: merge
INSERT INTO products AS stored (product_code, name, unit, weight_kg, value_per_unit, holding_cost_per_unit_per_day, largest_share, shelf_life_days, effective_from, effective_until, minimum_lot_units, lot_multiple_units, maximum_lot_units, source_revision)
SELECT product_code, name, unit, weight_kg, value_per_unit, holding_cost_per_unit_per_day, largest_share, shelf_life_days, effective_from, effective_until, minimum_lot_units, lot_multiple_units, maximum_lot_units, source_revision
FROM staged_products AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY product_code
ON CONFLICT (product_code) DO UPDATE SET
    name = excluded.name,
    unit = excluded.unit,
    weight_kg = excluded.weight_kg,
    value_per_unit = excluded.value_per_unit,
    holding_cost_per_unit_per_day = excluded.holding_cost_per_unit_per_day,
    largest_share = excluded.largest_share,
    shelf_life_days = excluded.shelf_life_days,
    effective_from = excluded.effective_from,
    effective_until = excluded.effective_until,
    minimum_lot_units = excluded.minimum_lot_units,
    lot_multiple_units = excluded.lot_multiple_units,
    maximum_lot_units = excluded.maximum_lot_units,
    source_revision = excluded.source_revision,
    revision = stored.revision + 1,
    retired_at = NULL,
    updated_at = now()
WHERE (stored.name, stored.unit, stored.weight_kg, stored.value_per_unit, stored.holding_cost_per_unit_per_day, stored.largest_share, stored.shelf_life_days, stored.effective_from, stored.effective_until, stored.minimum_lot_units, stored.lot_multiple_units, stored.maximum_lot_units, stored.source_revision)
    IS DISTINCT FROM (excluded.name, excluded.unit, excluded.weight_kg, excluded.value_per_unit, excluded.holding_cost_per_unit_per_day, excluded.largest_share, excluded.shelf_life_days, excluded.effective_from, excluded.effective_until, excluded.minimum_lot_units, excluded.lot_multiple_units, excluded.maximum_lot_units, excluded.source_revision)
   OR stored.retired_at IS NOT NULL;

-- name: retire_absent
UPDATE products AS stored SET retired_at = now(), updated_at = now(), revision = revision + 1
WHERE retired_at IS NULL
  AND NOT EXISTS (SELECT FROM staged_products AS staged WHERE staged.product_code = stored.product_code);

-- name: get
SELECT product_code, name, unit, weight_kg, value_per_unit, holding_cost_per_unit_per_day, largest_share, shelf_life_days, effective_from, effective_until, minimum_lot_units, lot_multiple_units, maximum_lot_units, source_revision, revision, updated_at, retired_at
FROM products
WHERE product_code = $1;

-- name: lock
SELECT revision, retired_at
FROM products
WHERE product_code = $1
FOR UPDATE;

-- name: list_page
SELECT product_code, name, unit, weight_kg, value_per_unit, holding_cost_per_unit_per_day, largest_share, shelf_life_days, effective_from, effective_until, minimum_lot_units, lot_multiple_units, maximum_lot_units, source_revision, revision, updated_at, retired_at
FROM products
WHERE product_code > coalesce($1::text, '')
  AND ($3::timestamptz IS NULL OR updated_at >= $3)
  AND ($4::boolean OR retired_at IS NULL)
ORDER BY product_code
LIMIT $2;

-- name: retire
UPDATE products SET retired_at = now(), updated_at = now(), revision = revision + 1
WHERE product_code = $1 AND retired_at IS NULL;
