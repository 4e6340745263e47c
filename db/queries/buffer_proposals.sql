-- name: lock
-- Plans that propose at the same time wait for each other.
SELECT pg_advisory_xact_lock(hashtextextended('buffer proposals', 0));

-- name: read_now
SELECT now();

-- name: list_accepted
-- $1: as_of. Of each buffer the one accepted last of those that plans up to then had found.
SELECT DISTINCT ON (b.product_code, b.region_code) b.after
FROM buffer_proposals AS b JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
WHERE b.status = 'accepted' AND b.as_of <= $1 AND p.retired_at IS NULL AND r.retired_at IS NULL
ORDER BY b.product_code, b.region_code, b.as_of DESC, b.decided_at DESC;

-- name: list_latest
-- Of each of some pairs what was proposed last.
SELECT DISTINCT ON (product_code, region_code) proposal_id, product_code, region_code, as_of, status, after
FROM buffer_proposals JOIN unnest($1::text [], $2::text []) AS few (product_code, region_code)
    USING (product_code, region_code)
ORDER BY product_code, region_code, as_of DESC, proposed_at DESC;

-- name: supersede
-- $1: as_of of the plan that says otherwise now, $2: those that it says again.
UPDATE buffer_proposals SET status = 'superseded', decided_at = now(), revision = revision + 1
WHERE status = 'open' AND as_of <= $1 AND proposal_id <> ALL($2::uuid []);

-- name: find
SELECT b.proposal_id, b.plan_id, b.as_of, b.proposed_at, b.product_code, b.region_code, b.before, b.after, b.reasons,
    b.changed_share, b.tolerance_share, b.status, b.decided_at, b.decided_by_key_id, k.name AS decided_by_name, b.revision
FROM buffer_proposals AS b LEFT JOIN api_keys AS k ON k.key_id = b.decided_by_key_id
WHERE b.proposal_id = $1 FOR UPDATE OF b;

-- name: get
SELECT b.proposal_id, b.plan_id, b.as_of, b.proposed_at, b.product_code, b.region_code, b.before, b.after, b.reasons,
    b.changed_share, b.tolerance_share, b.status, b.decided_at, b.decided_by_key_id, k.name AS decided_by_name, b.revision
FROM buffer_proposals AS b LEFT JOIN api_keys AS k ON k.key_id = b.decided_by_key_id
WHERE b.proposal_id = $1;

-- name: decide
UPDATE buffer_proposals SET status = $2, decided_at = now(), decided_by_key_id = $3, revision = revision + 1
WHERE proposal_id = $1;

-- name: list_page
-- The newest first; $1 and $2 are the cursor.
SELECT b.proposal_id, b.plan_id, b.as_of, b.proposed_at, b.product_code, b.region_code, b.before, b.after, b.reasons,
    b.changed_share, b.tolerance_share, b.status, b.decided_at, b.decided_by_key_id, k.name AS decided_by_name, b.revision
FROM buffer_proposals AS b LEFT JOIN api_keys AS k ON k.key_id = b.decided_by_key_id
WHERE ($1::timestamptz IS NULL OR (b.proposed_at, b.proposal_id) < ($1, $2))
    AND ($3::text IS NULL OR b.status = $3) AND ($4::text IS NULL OR b.product_code = $4)
    AND ($5::text IS NULL OR b.region_code = $5)
ORDER BY b.proposed_at DESC, b.proposal_id DESC LIMIT $6;
