-- name: find_parts
SELECT book, first_product_code, last_product_code FROM plan_book_parts WHERE plan_id = $1 ORDER BY book, first_row;

-- name: insert_parts
-- A plan's own parts, and those of an earlier one that lie outside what is made anew; rows are counted through all of them.
INSERT INTO plan_book_parts (
    plan_id, book, first_row, last_row, first_product_code, last_product_code, of_plan_id, of_first_row
)
SELECT $1, $2, sum(p.n_rows) OVER before - p.n_rows + 1, sum(p.n_rows) OVER before,
    p.first_product_code, p.last_product_code, p.of_plan_id, p.of_first_row
FROM (
    SELECT own.first_product_code COLLATE "C", own.last_product_code, own.n_rows, $1::uuid AS of_plan_id, own.of_first_row
    FROM unnest($3::text [], $4::text [], $5::integer [], $6::integer [])
    AS own (first_product_code, last_product_code, of_first_row, n_rows)
    UNION ALL
    SELECT k.first_product_code, k.last_product_code, k.last_row - k.first_row + 1 AS n_rows, k.of_plan_id, k.of_first_row
    FROM plan_book_parts AS k
    WHERE k.plan_id = $7 AND k.book = $2 AND NOT EXISTS (
        SELECT FROM unnest($8::text [], $9::text []) AS anew (from_code, before_code)
        WHERE k.first_product_code >= anew.from_code COLLATE "C"
            AND (anew.before_code IS NULL OR k.first_product_code < anew.before_code COLLATE "C")
    )
) AS p
WINDOW before AS (ORDER BY p.first_product_code, p.of_first_row);
