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

-- name: list_pins_out_of_place
-- Of pinned products, regions and nodes, position by position: those that name something that does not exist (any
-- more), or a node that can't make the product.
SELECT given.position::integer - 1 AS position,
    (EXISTS (SELECT FROM products AS p WHERE p.product_code = given.product_code AND p.retired_at IS NULL)) AS has_product,
    (EXISTS (SELECT FROM regions AS r WHERE r.region_code = given.region_code AND r.retired_at IS NULL)) AS has_region,
    (EXISTS (SELECT FROM nodes AS n WHERE n.node_code = given.node_code AND n.retired_at IS NULL)) AS has_node,
    c.node_code IS NOT NULL AS is_capable
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS given (product_code, region_code, node_code, position)
LEFT JOIN capabilities AS c ON c.node_code = given.node_code AND c.product_code = given.product_code
WHERE c.node_code IS NULL
    OR NOT EXISTS (SELECT FROM products AS p WHERE p.product_code = given.product_code AND p.retired_at IS NULL)
    OR NOT EXISTS (SELECT FROM regions AS r WHERE r.region_code = given.region_code AND r.retired_at IS NULL)
    OR NOT EXISTS (SELECT FROM nodes AS n WHERE n.node_code = given.node_code AND n.retired_at IS NULL)
ORDER BY position;

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
