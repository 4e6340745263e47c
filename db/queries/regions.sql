-- name: stage
CREATE TEMP TABLE staged_regions (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE regions INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'region_code', region_code, first_ordinal
FROM (SELECT ordinal, region_code, min(ordinal) OVER (PARTITION BY region_code) AS first_ordinal FROM staged_regions) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'source-revision-stale', 'source_revision', staged.source_revision || ' is not above ' || stored.source_revision, NULL
FROM staged_regions AS staged
JOIN regions AS stored ON stored.region_code = staged.region_code
WHERE stored.source_revision > staged.source_revision;

-- name: merge
INSERT INTO regions AS stored (region_code, name, latitude, longitude, source_revision)
SELECT region_code, name, latitude, longitude, source_revision
FROM staged_regions AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY region_code
ON CONFLICT (region_code) DO UPDATE SET
    name = excluded.name,
    latitude = excluded.latitude,
    longitude = excluded.longitude,
    source_revision = excluded.source_revision,
    revision = stored.revision + 1,
    retired_at = NULL,
    updated_at = now()
WHERE (stored.name, stored.latitude, stored.longitude, stored.source_revision)
    IS DISTINCT FROM (excluded.name, excluded.latitude, excluded.longitude, excluded.source_revision)
   OR stored.retired_at IS NOT NULL;

-- name: retire_absent
UPDATE regions AS stored SET retired_at = now(), updated_at = now(), revision = revision + 1
WHERE retired_at IS NULL
  AND NOT EXISTS (SELECT FROM staged_regions AS staged WHERE staged.region_code = stored.region_code);

-- name: get
SELECT region_code, name, latitude, longitude, source_revision, revision, updated_at, retired_at
FROM regions
WHERE region_code = $1;

-- name: lock
SELECT revision, retired_at
FROM regions
WHERE region_code = $1
FOR UPDATE;

-- name: list_page
SELECT region_code, name, latitude, longitude, source_revision, revision, updated_at, retired_at
FROM regions
WHERE region_code > coalesce($1::text, '')
  AND ($3::timestamptz IS NULL OR updated_at >= $3)
  AND ($4::boolean OR retired_at IS NULL)
ORDER BY region_code
LIMIT $2;

-- name: retire
UPDATE regions SET retired_at = now(), updated_at = now(), revision = revision + 1
WHERE region_code = $1 AND retired_at IS NULL;
