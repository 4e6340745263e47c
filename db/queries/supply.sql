-- name: stage
CREATE TEMP TABLE staged_open_supply (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE open_supply INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'external_id', source || ' ' || external_id, first_ordinal
FROM (SELECT ordinal, source, external_id, min(ordinal) OVER (PARTITION BY source, external_id) AS first_ordinal FROM staged_open_supply) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'unknown-code', 'product_code', staged.product_code, NULL
FROM staged_open_supply AS staged
LEFT JOIN products AS parent ON parent.product_code = staged.product_code AND parent.retired_at IS NULL
WHERE parent.product_code IS NULL
  AND NOT EXISTS (
    SELECT FROM open_supply AS stored
    WHERE stored.source = staged.source AND stored.external_id = staged.external_id
      AND (stored.product_code, stored.region_code, stored.units, stored.due_date, stored.work_order_id, stored.received_units, stored.receipt_at, stored.closed, stored.source_revision)
        IS NOT DISTINCT FROM (staged.product_code, staged.region_code, staged.units, staged.due_date, staged.work_order_id, staged.received_units, staged.receipt_at, staged.closed, coalesce(staged.source_revision, stored.source_revision))
  )
UNION ALL
SELECT ordinal, 'unknown-code', 'region_code', staged.region_code, NULL
FROM staged_open_supply AS staged
LEFT JOIN regions AS parent ON parent.region_code = staged.region_code AND parent.retired_at IS NULL
WHERE parent.region_code IS NULL
  AND NOT EXISTS (
    SELECT FROM open_supply AS stored
    WHERE stored.source = staged.source AND stored.external_id = staged.external_id
      AND (stored.product_code, stored.region_code, stored.units, stored.due_date, stored.work_order_id, stored.received_units, stored.receipt_at, stored.closed, stored.source_revision)
        IS NOT DISTINCT FROM (staged.product_code, staged.region_code, staged.units, staged.due_date, staged.work_order_id, staged.received_units, staged.receipt_at, staged.closed, coalesce(staged.source_revision, stored.source_revision))
  )
UNION ALL
SELECT ordinal, 'source-revision-stale', 'source_revision', coalesce(staged.source_revision::text, 'null') || ' is not above ' || stored.source_revision, NULL
FROM staged_open_supply AS staged
JOIN open_supply AS stored ON stored.source = staged.source AND stored.external_id = staged.external_id
WHERE coalesce(staged.source_revision, stored.source_revision) <= stored.source_revision
  AND (stored.product_code, stored.region_code, stored.units, stored.due_date, stored.work_order_id, stored.received_units, stored.receipt_at, stored.closed, stored.source_revision)
    IS DISTINCT FROM (staged.product_code, staged.region_code, staged.units, staged.due_date, staged.work_order_id, staged.received_units, staged.receipt_at, staged.closed, coalesce(staged.source_revision, stored.source_revision));

-- name: merge_1
-- What lines say that are about to be replaced stays readable.
INSERT INTO open_supply_revisions
SELECT stored.* FROM open_supply AS stored JOIN staged_open_supply AS staged USING (source, external_id)
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
  AND (stored.product_code, stored.region_code, stored.units, stored.due_date, stored.work_order_id, stored.received_units, stored.receipt_at, stored.closed, stored.source_revision)
    IS DISTINCT FROM (staged.product_code, staged.region_code, staged.units, staged.due_date, staged.work_order_id, staged.received_units, staged.receipt_at, staged.closed, coalesce(staged.source_revision, stored.source_revision))
ORDER BY stored.source, stored.external_id
FOR UPDATE OF stored;

-- name: merge_2
INSERT INTO open_supply AS stored (source, external_id, product_code, region_code, units, due_date, work_order_id, received_units, receipt_at, closed, source_revision)
SELECT source, external_id, product_code, region_code, units, due_date, work_order_id, received_units, receipt_at, closed, source_revision
FROM staged_open_supply AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY source, external_id
ON CONFLICT (source, external_id) DO UPDATE SET
    product_code = excluded.product_code,
    region_code = excluded.region_code,
    units = excluded.units,
    due_date = excluded.due_date,
    work_order_id = excluded.work_order_id,
    received_units = excluded.received_units,
    receipt_at = excluded.receipt_at,
    closed = excluded.closed,
    source_revision = coalesce(excluded.source_revision, stored.source_revision),
    revision = stored.revision + 1,
    updated_at = now(),
    written_xid = pg_current_xact_id()
WHERE (stored.product_code, stored.region_code, stored.units, stored.due_date, stored.work_order_id, stored.received_units, stored.receipt_at, stored.closed, stored.source_revision)
    IS DISTINCT FROM (excluded.product_code, excluded.region_code, excluded.units, excluded.due_date, excluded.work_order_id, excluded.received_units, excluded.receipt_at, excluded.closed, coalesce(excluded.source_revision, stored.source_revision));

-- name: list_page
SELECT source, external_id, product_code, region_code, units, due_date, work_order_id, received_units, receipt_at, closed, source_revision, revision, updated_at
FROM open_supply
WHERE (source, external_id) > (coalesce($1::text, ''), coalesce($2::text, ''))
  AND ($4::timestamptz IS NULL OR updated_at >= $4)
  AND ($5::text IS NULL OR product_code = $5)
  AND ($6::text IS NULL OR region_code = $6)
  AND ($7::text IS NULL OR source = $7)
ORDER BY source, external_id
LIMIT $3;

-- name: list_history
SELECT source, external_id, product_code, region_code, units, due_date, work_order_id, received_units, receipt_at, closed, source_revision, revision, updated_at
FROM (
    SELECT * FROM open_supply_revisions
    UNION ALL
    SELECT * FROM open_supply
) AS told
WHERE source = $1 AND external_id = $2
ORDER BY revision;
