-- name: find_base
-- Upon which plan's rows a re-plan of this one can be stored, and how many rows this one differs from those by.
SELECT coalesce(p.base_plan_id, p.plan_id) AS base_plan_id,
    CASE WHEN p.base_plan_id IS NULL THEN 0 ELSE
        (SELECT count(*) FROM plan_removed_rows AS r WHERE r.plan_id = p.plan_id)
        + (SELECT count(*) FROM plan_needs AS n WHERE n.plan_id = p.plan_id)
        + (SELECT count(*) FROM plan_assignments AS a WHERE a.plan_id = p.plan_id)
        + (SELECT count(*) FROM plan_shortfalls AS s WHERE s.plan_id = p.plan_id)
    END AS n_changes
FROM plans AS p WHERE p.plan_id = $1;

-- name: copy_removed
INSERT INTO plan_removed_rows (plan_id, kind, number)
SELECT $1::uuid, kind, number FROM plan_removed_rows WHERE plan_id = $2;

-- name: insert_removed
INSERT INTO plan_removed_rows (plan_id, kind, number)
SELECT $1, $2, unnest($3::integer[]) ON CONFLICT DO NOTHING;

-- name: copy_needs
-- The rows that the parent $2 has of its own, but for those with these numbers: whole, whatever columns they have.
INSERT INTO plan_needs
SELECT copied.* FROM plan_needs AS own,
    jsonb_populate_record(own, jsonb_build_object('plan_id', $1::uuid)) AS copied
WHERE own.plan_id = $2 AND own.need_id <> ALL ($3::integer[]);

-- name: copy_assignments
INSERT INTO plan_assignments
SELECT copied.* FROM plan_assignments AS own,
    jsonb_populate_record(own, jsonb_build_object(
        'plan_id', $1::uuid, 'told_in_plan_id', coalesce(own.told_in_plan_id, own.plan_id)
    )) AS copied
WHERE own.plan_id = $2 AND own.assignment_id <> ALL ($3::integer[]);

-- name: copy_shortfalls
INSERT INTO plan_shortfalls
SELECT copied.* FROM plan_shortfalls AS own,
    jsonb_populate_record(own, jsonb_build_object('plan_id', $1::uuid)) AS copied
WHERE own.plan_id = $2 AND own.shortfall_id <> ALL ($3::integer[]);

-- name: mark_told
-- Lines of a re-plan that is stored in full: where they are the parent's, so is their reason.
UPDATE plan_assignments AS line SET told_in_plan_id = coalesce(told.told_in_plan_id, told.plan_id)
FROM plan_assignments_of($2) AS told
WHERE line.plan_id = $1 AND line.assignment_id = told.assignment_id AND line.assignment_id <> ALL ($3::integer[]);
