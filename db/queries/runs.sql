-- name: find
SELECT run_id, kind, state, attempt, parameters, progress, problem, result, cancel_requested, created_at,
    started_at, finished_at, updated_at
FROM runs WHERE run_id = $1;

-- name: list_page
SELECT run_id, kind, state, attempt, parameters, progress, problem, result, cancel_requested, created_at,
    started_at, finished_at, updated_at
FROM runs
WHERE ($1::timestamptz IS NULL OR (created_at, run_id) < ($1, $2))
    AND ($3::text IS NULL OR kind = $3) AND ($4::text IS NULL OR state = $4)
    AND ($5::timestamptz IS NULL OR updated_at >= $5)
ORDER BY created_at DESC, run_id DESC LIMIT $6;

-- name: list_unknown_codes
-- Of the products and regions that a request names: those that do not exist, or exist no more.
SELECT 'product_code' AS field, given.code
FROM unnest($1::text[]) AS given (code)
WHERE NOT EXISTS (SELECT FROM products WHERE product_code = given.code AND retired_at IS NULL)
UNION ALL
SELECT 'region_code' AS field, given.code
FROM unnest($2::text[]) AS given (code)
WHERE NOT EXISTS (SELECT FROM regions WHERE region_code = given.code AND retired_at IS NULL)
ORDER BY field, code;
