-- name: stage
CREATE TEMP TABLE staged_usage_exclusions (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE usage_exclusions INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'from_date', concat_ws(' ', product_code, region_code, from_date), first_ordinal
FROM (
    SELECT ordinal, product_code, region_code, from_date,
        min(ordinal) OVER (PARTITION BY product_code, region_code, from_date) AS first_ordinal
    FROM staged_usage_exclusions
) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'unknown-code', 'product_code', staged.product_code, NULL
FROM staged_usage_exclusions AS staged
LEFT JOIN products AS parent ON parent.product_code = staged.product_code AND parent.retired_at IS NULL
WHERE parent.product_code IS NULL AND staged.product_code <> '*'
UNION ALL
SELECT ordinal, 'unknown-code', 'region_code', staged.region_code, NULL
FROM staged_usage_exclusions AS staged
LEFT JOIN regions AS parent ON parent.region_code = staged.region_code AND parent.retired_at IS NULL
WHERE parent.region_code IS NULL AND staged.region_code <> '*';

-- name: merge
INSERT INTO usage_exclusions AS stored (product_code, region_code, from_date, until_date, reason)
SELECT product_code, region_code, from_date, until_date, reason
FROM staged_usage_exclusions AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY product_code, region_code, from_date
ON CONFLICT (product_code, region_code, from_date) DO UPDATE SET
    until_date = excluded.until_date, reason = excluded.reason, updated_at = now()
WHERE (stored.until_date, stored.reason) IS DISTINCT FROM (excluded.until_date, excluded.reason);

-- name: retire_absent
DELETE FROM usage_exclusions AS stored
WHERE NOT EXISTS (
    SELECT FROM staged_usage_exclusions AS staged
    WHERE staged.product_code = stored.product_code AND staged.region_code = stored.region_code
      AND staged.from_date = stored.from_date
);

-- name: list_page
SELECT product_code, region_code, from_date, until_date, reason, updated_at
FROM usage_exclusions
WHERE (product_code, region_code, from_date) > ($1::text, $2::text, coalesce($3::date, '-infinity'))
  AND ($5::timestamptz IS NULL OR updated_at >= $5)
  AND ($6::text IS NULL OR product_code = $6)
  AND ($7::text IS NULL OR region_code = $7)
ORDER BY product_code, region_code, from_date
LIMIT $4;
