-- name: stage
CREATE TEMP TABLE staged_signals (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE demand_signals INCLUDING DEFAULTS INCLUDING IDENTITY
) ON COMMIT DROP;

-- name: match
-- What is stored of each signal, looked up one by one: a batch costs the same however many there are. The planner, which knows nothing
-- of what was just staged, would read them all.
CREATE TEMP TABLE matched_signals ON COMMIT DROP AS
SELECT staged.ordinal, stored.signal_id, stored.says_other, stored.source_revision,
    stored.says_other AND coalesce(staged.source_revision, stored.source_revision) <= stored.source_revision AS is_stale
FROM staged_signals AS staged
CROSS JOIN LATERAL (
    SELECT stored.signal_id, stored.source_revision,
        (stored.kind, stored.product_code, stored.region_code, stored.units, stored.occurred_at, stored.due_date, stored.shipped_units, stored.shipped_at, stored.cancelled, stored.priority, stored.probability, stored.from_date, stored.until_date, stored.multiplier, stored.reason, stored.source_revision)
        IS DISTINCT FROM (staged.kind, staged.product_code, staged.region_code, staged.units, staged.occurred_at, staged.due_date, staged.shipped_units, staged.shipped_at, staged.cancelled, staged.priority, staged.probability, staged.from_date, staged.until_date, staged.multiplier, staged.reason,
        coalesce(staged.source_revision, stored.source_revision)) AS says_other
    FROM demand_signals AS stored
    WHERE stored.source = staged.source AND stored.external_id = staged.external_id AND stored.superseded_at IS NULL
    LIMIT 1
) AS stored;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'external_id', external_id, first_ordinal
FROM (SELECT ordinal, source, external_id, min(ordinal) OVER (PARTITION BY source, external_id) AS first_ordinal FROM staged_signals) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'unknown-code', 'product_code', staged.product_code, NULL
FROM staged_signals AS staged
LEFT JOIN products AS parent ON parent.product_code = staged.product_code AND parent.retired_at IS NULL
WHERE parent.product_code IS NULL
  AND NOT EXISTS (SELECT FROM matched_signals AS matched WHERE matched.ordinal = staged.ordinal AND NOT matched.says_other)
UNION ALL
SELECT ordinal, 'unknown-code', 'region_code', staged.region_code, NULL
FROM staged_signals AS staged
LEFT JOIN regions AS parent ON parent.region_code = staged.region_code AND parent.retired_at IS NULL
WHERE parent.region_code IS NULL
  AND NOT EXISTS (SELECT FROM matched_signals AS matched WHERE matched.ordinal = staged.ordinal AND NOT matched.says_other)
UNION ALL
SELECT ordinal, 'source-revision-stale', 'source_revision', coalesce(staged.source_revision::text, 'null') || ' is not above ' || matched.source_revision, NULL
FROM matched_signals AS matched JOIN staged_signals AS staged USING (ordinal)
WHERE matched.is_stale;

-- name: merge_1
UPDATE demand_signals AS stored SET superseded_at = greatest(now(), stored.received_at), true_until = staged.occurred_at
FROM matched_signals AS matched JOIN staged_signals AS staged USING (ordinal)
WHERE matched.says_other
  AND stored.signal_id = matched.signal_id
  AND stored.superseded_at IS NULL
  AND NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = matched.ordinal);

-- name: merge_2
-- A revision that occurred before others that it follows takes their place from then on.
UPDATE demand_signals AS stored SET true_until = staged.occurred_at
FROM matched_signals AS matched JOIN staged_signals AS staged USING (ordinal)
WHERE matched.says_other
  AND stored.source = staged.source
  AND stored.external_id = staged.external_id
  AND stored.superseded_at IS NOT NULL
  AND stored.true_until > staged.occurred_at
  AND NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = matched.ordinal);

-- name: merge_3
-- Where another transaction has stored one of them meanwhile, the unique index says so, and all is merged once more.
INSERT INTO demand_signals (source, external_id, kind, product_code, region_code, units, occurred_at, due_date, shipped_units, shipped_at, cancelled, priority, probability, from_date, until_date, multiplier, reason, source_revision, revision, received_at)
SELECT staged.source, staged.external_id, staged.kind, staged.product_code, staged.region_code, staged.units, staged.occurred_at, staged.due_date, staged.shipped_units, staged.shipped_at, staged.cancelled, staged.priority, staged.probability, staged.from_date, staged.until_date, staged.multiplier, staged.reason, staged.source_revision,
    1 + coalesce(before.revision, 0),
    greatest(now(), before.superseded_at)
FROM staged_signals AS staged
LEFT JOIN matched_signals AS matched USING (ordinal)
LEFT JOIN LATERAL (
    SELECT max(stored.revision) AS revision, max(stored.superseded_at) AS superseded_at
    FROM demand_signals AS stored
    WHERE matched.says_other
      AND stored.source = staged.source
      AND stored.external_id = staged.external_id
      AND stored.superseded_at IS NOT NULL
) AS before ON true
WHERE coalesce(matched.says_other, true)
  AND NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY staged.source, staged.external_id;

-- name: add_new
-- One statement for the usual signal, which nobody has told before: it is stored and noted, or nothing is.
WITH added AS (
    INSERT INTO demand_signals (source, external_id, kind, product_code, region_code, units, occurred_at, due_date, shipped_units, shipped_at, cancelled, priority, probability, from_date, until_date, multiplier, reason, source_revision)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
    WHERE EXISTS (SELECT FROM products WHERE product_code = $4 AND retired_at IS NULL)
        AND EXISTS (SELECT FROM regions WHERE region_code = $5 AND retired_at IS NULL)
    ON CONFLICT (source, external_id) WHERE superseded_at IS NULL DO NOTHING
    RETURNING source, external_id, kind, product_code, region_code, units, occurred_at, due_date, shipped_units, shipped_at, cancelled, priority, probability, from_date, until_date, multiplier, reason, source_revision, revision, received_at, superseded_at
),
noted AS (
    INSERT INTO audit_entries (key_id, action, subject, details)
    SELECT $19, 'add', $20, '{}' FROM added
)
SELECT * FROM added;

-- name: is_unknown
-- Before it is looked at for the first time, the server takes the table for nearly empty, and reads all of it for a page.
SELECT reltuples < 0 FROM pg_class WHERE oid = 'demand_signals'::regclass;

-- name: analyze
ANALYZE demand_signals;

-- name: has_unknown_codes
SELECT EXISTS (SELECT unnest($1::text[]) EXCEPT SELECT product_code FROM products WHERE retired_at IS NULL)
    OR EXISTS (SELECT unnest($2::text[]) EXCEPT SELECT region_code FROM regions WHERE retired_at IS NULL);

-- name: find_current
SELECT source, external_id, kind, product_code, region_code, units, occurred_at, due_date, shipped_units, shipped_at, cancelled, priority, probability, from_date, until_date, multiplier, reason, source_revision, revision, received_at, superseded_at
FROM demand_signals
WHERE source = $1 AND external_id = $2 AND superseded_at IS NULL;

-- name: list_history
-- Each half says of itself which index it reads: one for current revisions, one for those that no longer are.
SELECT source, external_id, kind, product_code, region_code, units, occurred_at, due_date, shipped_units, shipped_at, cancelled, priority, probability, from_date, until_date, multiplier, reason, source_revision, revision, received_at, superseded_at
FROM demand_signals
WHERE source = $1 AND external_id = $2 AND superseded_at IS NULL
UNION ALL
SELECT source, external_id, kind, product_code, region_code, units, occurred_at, due_date, shipped_units, shipped_at, cancelled, priority, probability, from_date, until_date, multiplier, reason, source_revision, revision, received_at, superseded_at
FROM demand_signals
WHERE source = $1 AND external_id = $2 AND superseded_at IS NOT NULL
ORDER BY revision;

-- name: list_current
SELECT signal_id, source, external_id, kind, product_code, region_code, units, occurred_at, due_date, shipped_units, shipped_at, cancelled, priority, probability, from_date, until_date, multiplier, reason, source_revision, revision, received_at, superseded_at
FROM demand_signals
WHERE signal_id > coalesce($1::bigint, 0)
  AND superseded_at IS NULL
  AND ($3::text IS NULL OR product_code = $3)
  AND ($4::text IS NULL OR region_code = $4)
  AND ($5::text IS NULL OR kind = $5)
  AND ($6::text IS NULL OR source = $6)
ORDER BY signal_id
LIMIT $2;

-- name: list_current_of_pair
-- Read in order from the index of pairs: what other pairs have is not looked at.
SELECT signal_id, source, external_id, kind, product_code, region_code, units, occurred_at, due_date, shipped_units, shipped_at, cancelled, priority, probability, from_date, until_date, multiplier, reason, source_revision, revision, received_at, superseded_at
FROM demand_signals
WHERE product_code = $3
  AND region_code = $4
  AND signal_id > coalesce($1::bigint, 0)
  AND superseded_at IS NULL
  AND ($5::text IS NULL OR kind = $5)
  AND ($6::text IS NULL OR source = $6)
ORDER BY signal_id
LIMIT $2;

-- name: list_changed
-- Those that were told since an instant are found and ordered by one index: the rest is not looked at.
SELECT signal_id, source, external_id, kind, product_code, region_code, units, occurred_at, due_date, shipped_units, shipped_at, cancelled, priority, probability, from_date, until_date, multiplier, reason, source_revision, revision, received_at, superseded_at
FROM demand_signals
WHERE (received_at, signal_id) > ($1::timestamptz, $2::bigint)
  AND superseded_at IS NULL
  AND ($4::text IS NULL OR product_code = $4)
  AND ($5::text IS NULL OR region_code = $5)
  AND ($6::text IS NULL OR kind = $6)
  AND ($7::text IS NULL OR source = $7)
ORDER BY received_at, signal_id
LIMIT $3;

-- name: list_as_known_at
SELECT signal_id, source, external_id, kind, product_code, region_code, units, occurred_at, due_date, shipped_units, shipped_at, cancelled, priority, probability, from_date, until_date, multiplier, reason, source_revision, revision, received_at, superseded_at
FROM demand_signals
WHERE signal_id > coalesce($1::bigint, 0)
  AND received_at <= $8
  AND (superseded_at IS NULL OR superseded_at > $8)
  AND ($3::timestamptz IS NULL OR received_at >= $3)
  AND ($4::text IS NULL OR product_code = $4)
  AND ($5::text IS NULL OR region_code = $5)
  AND ($6::text IS NULL OR kind = $6)
  AND ($7::text IS NULL OR source = $7)
ORDER BY signal_id
LIMIT $2;
