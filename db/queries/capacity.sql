-- name: stage_resources
CREATE TEMP TABLE staged_resources (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE resources INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse_resources
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'resource_code', node_code || ' ' || resource_code, first_ordinal
FROM (SELECT ordinal, node_code, resource_code, min(ordinal) OVER (PARTITION BY node_code, resource_code) AS first_ordinal FROM staged_resources) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'unknown-code', 'node_code', staged.node_code, NULL
FROM staged_resources AS staged
LEFT JOIN nodes AS parent ON parent.node_code = staged.node_code AND parent.retired_at IS NULL
WHERE parent.node_code IS NULL;

-- name: merge_resources
INSERT INTO resources AS stored (node_code, resource_code, kind, capacity_per_day, working_weekdays, on_hand)
SELECT node_code, resource_code, kind, capacity_per_day, working_weekdays, on_hand
FROM staged_resources AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY node_code, resource_code
ON CONFLICT (node_code, resource_code) DO UPDATE SET
    kind = excluded.kind,
    capacity_per_day = excluded.capacity_per_day,
    working_weekdays = excluded.working_weekdays,
    on_hand = excluded.on_hand,
    updated_at = now()
WHERE (stored.kind, stored.capacity_per_day, stored.working_weekdays, stored.on_hand)
    IS DISTINCT FROM (excluded.kind, excluded.capacity_per_day, excluded.working_weekdays, excluded.on_hand);

-- name: retire_absent_resources
DELETE FROM resources AS stored
WHERE NOT EXISTS (SELECT FROM staged_resources AS staged WHERE staged.node_code = stored.node_code AND staged.resource_code = stored.resource_code);

-- name: retire_absent_resources_of_node
DELETE FROM resources AS stored
WHERE node_code = $1
  AND NOT EXISTS (SELECT FROM staged_resources AS staged WHERE staged.node_code = stored.node_code AND staged.resource_code = stored.resource_code);

-- name: stage_exceptions
CREATE TEMP TABLE staged_capacity_exceptions (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE capacity_exceptions INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse_exceptions
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'from_date', node_code || ' ' || resource_code || ' ' || from_date, first_ordinal
FROM (
    SELECT ordinal, node_code, resource_code, from_date,
        min(ordinal) OVER (PARTITION BY node_code, resource_code, from_date) AS first_ordinal
    FROM staged_capacity_exceptions
) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'unknown-code', 'node_code', staged.node_code, NULL
FROM staged_capacity_exceptions AS staged
LEFT JOIN nodes AS parent ON parent.node_code = staged.node_code AND parent.retired_at IS NULL
WHERE parent.node_code IS NULL
UNION ALL
SELECT ordinal, 'unknown-code', 'resource_code', staged.resource_code, NULL
FROM staged_capacity_exceptions AS staged
LEFT JOIN resources AS parent ON parent.node_code = staged.node_code AND parent.resource_code = staged.resource_code
WHERE parent.resource_code IS NULL;

-- name: merge_exceptions
INSERT INTO capacity_exceptions AS stored (node_code, resource_code, from_date, until_date, capacity_per_day)
SELECT node_code, resource_code, from_date, until_date, capacity_per_day
FROM staged_capacity_exceptions AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY node_code, resource_code, from_date
ON CONFLICT (node_code, resource_code, from_date) DO UPDATE SET
    until_date = excluded.until_date,
    capacity_per_day = excluded.capacity_per_day,
    updated_at = now()
WHERE (stored.until_date, stored.capacity_per_day)
    IS DISTINCT FROM (excluded.until_date, excluded.capacity_per_day);

-- name: retire_absent_exceptions
DELETE FROM capacity_exceptions AS stored
WHERE NOT EXISTS (SELECT FROM staged_capacity_exceptions AS staged WHERE staged.node_code = stored.node_code AND staged.resource_code = stored.resource_code AND staged.from_date = stored.from_date);

-- name: retire_absent_exceptions_of_node
DELETE FROM capacity_exceptions AS stored
WHERE node_code = $1
  AND NOT EXISTS (SELECT FROM staged_capacity_exceptions AS staged WHERE staged.node_code = stored.node_code AND staged.resource_code = stored.resource_code AND staged.from_date = stored.from_date);

-- name: find_resource_in_use
SELECT DISTINCT capability.node_code, used.resource_code
FROM capabilities AS capability
CROSS JOIN jsonb_object_keys(capability.use_per_unit || capability.setup_use_per_order) AS used (resource_code)
LEFT JOIN resources AS resource
    ON resource.node_code = capability.node_code AND resource.resource_code = used.resource_code
WHERE resource.resource_code IS NULL
ORDER BY capability.node_code, used.resource_code
LIMIT 1;

-- name: list_resources_for_node
SELECT node_code, resource_code, kind, capacity_per_day, working_weekdays, on_hand, updated_at
FROM resources
WHERE node_code = $1
ORDER BY resource_code;

-- name: list_exceptions_for_node
SELECT node_code, resource_code, from_date, until_date, capacity_per_day, updated_at
FROM capacity_exceptions
WHERE node_code = $1
ORDER BY resource_code, from_date;

-- name: list_resources
SELECT node_code, resource_code, kind, capacity_per_day, working_weekdays, on_hand, updated_at
FROM resources
WHERE (node_code, resource_code) > (coalesce($1::text, ''), coalesce($2::text, ''))
  AND ($4::timestamptz IS NULL OR updated_at >= $4)
  AND ($5::text IS NULL OR node_code = $5)
  AND ($6::text IS NULL OR resource_code = $6)
ORDER BY node_code, resource_code
LIMIT $3;

-- name: list_exceptions
SELECT node_code, resource_code, from_date, until_date, capacity_per_day, updated_at
FROM capacity_exceptions
WHERE (node_code, resource_code, from_date) > (coalesce($1::text, ''), coalesce($2::text, ''), coalesce($3::date, '-infinity'))
  AND ($5::timestamptz IS NULL OR updated_at >= $5)
  AND ($6::text IS NULL OR node_code = $6)
  AND ($7::text IS NULL OR resource_code = $7)
ORDER BY node_code, resource_code, from_date
LIMIT $4;
