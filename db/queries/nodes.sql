-- name: stage
CREATE TEMP TABLE staged_nodes (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    node_code text COLLATE "C" NOT NULL,
    name text NOT NULL,
    latitude double precision,
    longitude double precision,
    status text,
    capacity_share double precision,
    source_revision bigint
) ON COMMIT DROP;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'node_code', node_code, first_ordinal
FROM (SELECT ordinal, node_code, min(ordinal) OVER (PARTITION BY node_code) AS first_ordinal FROM staged_nodes) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'source-revision-stale', 'source_revision', staged.source_revision || ' is not above ' || stored.source_revision, NULL
FROM staged_nodes AS staged
JOIN nodes AS stored ON stored.node_code = staged.node_code
WHERE stored.source_revision > staged.source_revision;

-- name: merge
-- A load that says nothing about the state leaves what the node itself reported.
INSERT INTO nodes AS stored (node_code, name, latitude, longitude, status, capacity_share, source_revision)
SELECT
    staged.node_code,
    staged.name,
    staged.latitude,
    staged.longitude,
    coalesce(staged.status, before.status, 'online'),
    coalesce(staged.capacity_share, before.capacity_share, 1),
    staged.source_revision
FROM staged_nodes AS staged
LEFT JOIN nodes AS before ON before.node_code = staged.node_code
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY staged.node_code
ON CONFLICT (node_code) DO UPDATE SET
    name = excluded.name,
    latitude = excluded.latitude,
    longitude = excluded.longitude,
    status = excluded.status,
    capacity_share = excluded.capacity_share,
    source_revision = excluded.source_revision,
    revision = stored.revision + 1,
    retired_at = NULL,
    updated_at = now()
WHERE (stored.name, stored.latitude, stored.longitude, stored.status, stored.capacity_share, stored.source_revision)
    IS DISTINCT FROM (excluded.name, excluded.latitude, excluded.longitude, excluded.status, excluded.capacity_share, excluded.source_revision)
   OR stored.retired_at IS NOT NULL;

-- name: retire_absent
UPDATE nodes AS stored SET retired_at = now(), updated_at = now(), revision = revision + 1
WHERE retired_at IS NULL
  AND NOT EXISTS (SELECT FROM staged_nodes AS staged WHERE staged.node_code = stored.node_code);

-- name: get
SELECT node_code, name, latitude, longitude, status, capacity_share, source_revision, revision, updated_at, retired_at
FROM nodes
WHERE node_code = $1;

-- name: lock
SELECT revision, retired_at
FROM nodes
WHERE node_code = $1
FOR UPDATE;

-- name: list_page
SELECT node_code, name, latitude, longitude, status, capacity_share, source_revision, revision, updated_at, retired_at
FROM nodes
WHERE node_code > coalesce($1::text, '')
  AND ($3::timestamptz IS NULL OR updated_at >= $3)
  AND ($4::boolean OR retired_at IS NULL)
ORDER BY node_code
LIMIT $2;

-- name: retire
UPDATE nodes SET retired_at = now(), updated_at = now(), revision = revision + 1
WHERE node_code = $1 AND retired_at IS NULL;

-- name: report_state
UPDATE nodes SET
    status = $2,
    capacity_share = coalesce($3, capacity_share),
    revision = revision + 1,
    updated_at = now()
WHERE node_code = $1
  AND retired_at IS NULL
RETURNING node_code, status, capacity_share, updated_at;
