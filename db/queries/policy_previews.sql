-- name: insert
INSERT INTO policy_previews (
    preview_id, parameters, as_of, first_bucket_date, n_effects, needed_units_before, needed_units_after,
    wall_seconds, code_version
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: find
SELECT preview_id, parameters, as_of, first_bucket_date, n_effects, needed_units_before, needed_units_after,
    wall_seconds, code_version, created_at
FROM policy_previews WHERE preview_id = $1;

-- name: list_effects
SELECT product_code, region_code, before, after, needed_units_before, needed_units_after
FROM policy_effects
WHERE preview_id = $1 AND (product_code, region_code) > ($2, $3)
    AND ($4::text IS NULL OR product_code = $4) AND ($5::text IS NULL OR region_code = $5)
ORDER BY product_code, region_code LIMIT $6;
