-- name: stage
CREATE TEMP TABLE staged_policies (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE policies INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'region_code', product_code || ' ' || region_code, first_ordinal
FROM (SELECT ordinal, product_code, region_code, min(ordinal) OVER (PARTITION BY product_code, region_code) AS first_ordinal FROM staged_policies) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'unknown-code', 'product_code', staged.product_code, NULL
FROM staged_policies AS staged
LEFT JOIN products AS parent ON parent.product_code = staged.product_code AND parent.retired_at IS NULL
WHERE parent.product_code IS NULL AND staged.product_code <> '*'
UNION ALL
SELECT ordinal, 'unknown-code', 'region_code', staged.region_code, NULL
FROM staged_policies AS staged
LEFT JOIN regions AS parent ON parent.region_code = staged.region_code AND parent.retired_at IS NULL
WHERE parent.region_code IS NULL AND staged.region_code <> '*';

-- name: merge
INSERT INTO policies AS stored (product_code, region_code, policy, service_level_share, review_period_days, consume_buckets_back, consume_buckets_forward, lead_probability_min, history_basis)
SELECT product_code, region_code, policy, service_level_share, review_period_days, consume_buckets_back, consume_buckets_forward, lead_probability_min, history_basis
FROM staged_policies AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY product_code, region_code
ON CONFLICT (product_code, region_code) DO UPDATE SET
    policy = excluded.policy,
    service_level_share = excluded.service_level_share,
    review_period_days = excluded.review_period_days,
    consume_buckets_back = excluded.consume_buckets_back,
    consume_buckets_forward = excluded.consume_buckets_forward,
    lead_probability_min = excluded.lead_probability_min,
    history_basis = excluded.history_basis,
    updated_at = now()
WHERE (stored.policy, stored.service_level_share, stored.review_period_days, stored.consume_buckets_back, stored.consume_buckets_forward, stored.lead_probability_min, stored.history_basis)
    IS DISTINCT FROM (excluded.policy, excluded.service_level_share, excluded.review_period_days, excluded.consume_buckets_back, excluded.consume_buckets_forward, excluded.lead_probability_min, excluded.history_basis);

-- name: retire_absent
DELETE FROM policies AS stored
WHERE NOT EXISTS (SELECT FROM staged_policies AS staged WHERE staged.product_code = stored.product_code AND staged.region_code = stored.region_code);

-- name: list_page
SELECT product_code, region_code, policy, service_level_share, review_period_days, consume_buckets_back, consume_buckets_forward, lead_probability_min, history_basis, updated_at
FROM policies
WHERE (product_code, region_code) > (coalesce($1::text, ''), coalesce($2::text, ''))
  AND ($4::timestamptz IS NULL OR updated_at >= $4)
  AND ($5::text IS NULL OR product_code = $5)
  AND ($6::text IS NULL OR region_code = $6)
ORDER BY product_code, region_code
LIMIT $3;
