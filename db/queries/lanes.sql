-- name: stage
CREATE TEMP TABLE staged_lanes (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE lanes INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'region_code', node_code || ' ' || region_code, first_ordinal
FROM (SELECT ordinal, node_code, region_code, min(ordinal) OVER (PARTITION BY node_code, region_code) AS first_ordinal FROM staged_lanes) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'source-revision-stale', 'source_revision', staged.source_revision || ' is not above ' || stored.source_revision, NULL
FROM staged_lanes AS staged
JOIN lanes AS stored ON stored.node_code = staged.node_code AND stored.region_code = staged.region_code
WHERE stored.source_revision > staged.source_revision
UNION ALL
SELECT ordinal, 'unknown-code', 'node_code', staged.node_code, NULL
FROM staged_lanes AS staged
LEFT JOIN nodes AS parent ON parent.node_code = staged.node_code AND parent.retired_at IS NULL
WHERE parent.node_code IS NULL
UNION ALL
SELECT ordinal, 'unknown-code', 'region_code', staged.region_code, NULL
FROM staged_lanes AS staged
LEFT JOIN regions AS parent ON parent.region_code = staged.region_code AND parent.retired_at IS NULL
WHERE parent.region_code IS NULL;

-- name: merge
INSERT INTO lanes AS stored (node_code, region_code, distance_km, transit_days, freight_cost_per_unit, forbidden, effective_from, effective_until, source_revision)
SELECT node_code, region_code, distance_km, transit_days, freight_cost_per_unit, forbidden, effective_from, effective_until, source_revision
FROM staged_lanes AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY node_code, region_code
ON CONFLICT (node_code, region_code) DO UPDATE SET
    distance_km = excluded.distance_km,
    transit_days = excluded.transit_days,
    freight_cost_per_unit = excluded.freight_cost_per_unit,
    forbidden = excluded.forbidden,
    effective_from = excluded.effective_from,
    effective_until = excluded.effective_until,
    source_revision = excluded.source_revision,
    revision = stored.revision + 1,
    updated_at = now()
WHERE (stored.distance_km, stored.transit_days, stored.freight_cost_per_unit, stored.forbidden, stored.effective_from, stored.effective_until, stored.source_revision)
    IS DISTINCT FROM (excluded.distance_km, excluded.transit_days, excluded.freight_cost_per_unit, excluded.forbidden, excluded.effective_from, excluded.effective_until, excluded.source_revision);

-- name: retire_absent
DELETE FROM lanes AS stored
WHERE NOT EXISTS (SELECT FROM staged_lanes AS staged WHERE staged.node_code = stored.node_code AND staged.region_code = stored.region_code);

-- name: get
SELECT node_code, region_code, distance_km, transit_days, freight_cost_per_unit, forbidden, effective_from, effective_until, source_revision, revision, updated_at
FROM lanes
WHERE node_code = $1 AND region_code = $2;

-- name: lock
SELECT revision
FROM lanes
WHERE node_code = $1 AND region_code = $2
FOR UPDATE;

-- name: list_page
SELECT node_code, region_code, distance_km, transit_days, freight_cost_per_unit, forbidden, effective_from, effective_until, source_revision, revision, updated_at
FROM lanes
WHERE (node_code, region_code) > (coalesce($1::text, ''), coalesce($2::text, ''))
  AND ($4::timestamptz IS NULL OR updated_at >= $4)
  AND ($5::text IS NULL OR node_code = $5)
  AND ($6::text IS NULL OR region_code = $6)
ORDER BY node_code, region_code
LIMIT $3;

-- name: retire
UPDATE lanes SET forbidden = true, revision = revision + 1, updated_at = now()
WHERE node_code = $1 AND region_code = $2 AND NOT forbidden;
