-- name: list_lines
-- Arrays are empty where nothing but zeros would stand in them. Lines count from 1 by product, region, bucket and tier; products say which rows need not be opened.
SELECT p.first_row + c.position::integer - 1 AS line, c.product_code, c.region_code, c.bucket_date, c.tier,
    coalesce(c.demanded_units, 0) AS demanded_units,
    coalesce(c.from_stock_units, 0) AS from_stock_units,
    coalesce(c.from_supply_units, 0) AS from_supply_units,
    coalesce(c.from_buffer_units, 0) AS from_buffer_units,
    coalesce(c.from_node_stock_units, 0) AS from_node_stock_units,
    coalesce(c.from_region_stock_units, 0) AS from_region_stock_units,
    coalesce(c.sent_to_regions_units, 0) AS sent_to_regions_units,
    coalesce(c.assigned_units, 0) AS assigned_units,
    coalesce((SELECT sum((s ->> 'units')::double precision) FROM jsonb_array_elements(c.shortfalls) AS s), 0)
        AS shortfall_units,
    coalesce(c.shortfalls, '[]') AS shortfalls
FROM plan_book_parts AS p
INNER JOIN plan_ledger AS l ON l.plan_id = p.of_plan_id AND l.first_line = p.of_first_row
CROSS JOIN LATERAL unnest(
    l.product_codes, l.region_codes, l.bucket_dates, l.tiers, l.demanded_units, l.from_stock_units,
    l.from_supply_units, l.from_buffer_units, l.from_node_stock_units, l.from_region_stock_units, l.sent_to_regions_units, l.assigned_units, l.shortfalls
) WITH ORDINALITY AS c (
    product_code, region_code, bucket_date, tier, demanded_units, from_stock_units,
    from_supply_units, from_buffer_units, from_node_stock_units, from_region_stock_units, sent_to_regions_units, assigned_units, shortfalls, position
)
WHERE p.plan_id = $1 AND p.book = 'ledger' AND p.last_row > $2 AND p.first_row + c.position - 1 > $2
    AND ($3::text IS NULL OR (p.first_product_code <= $3 AND p.last_product_code >= $3 AND c.product_code = $3))
    AND ($4::text IS NULL OR c.region_code = $4)
    AND ($5::text IS NULL OR c.tier = $5)
ORDER BY p.first_row, c.position LIMIT $6;

-- name: list_totals
-- What does not come from anywhere is what netting takes for rounding: millionths of a unit.
WITH lines AS (
    SELECT c.product_code, c.region_code, c.bucket_date, c.tier, c.shortfalls,
        coalesce(c.demanded_units, 0) AS demanded_units,
        coalesce(c.from_stock_units, 0) AS from_stock_units,
        coalesce(c.from_supply_units, 0) AS from_supply_units,
        coalesce(c.from_buffer_units, 0) AS from_buffer_units,
        coalesce(c.from_node_stock_units, 0) AS from_node_stock_units,
        coalesce(c.from_region_stock_units, 0) AS from_region_stock_units,
        coalesce(c.sent_to_regions_units, 0) AS sent_to_regions_units,
        coalesce(c.assigned_units, 0) AS assigned_units,
        coalesce((SELECT sum((s ->> 'units')::double precision) FROM jsonb_array_elements(c.shortfalls) AS s), 0)
            AS shortfall_units
    FROM plan_book_parts AS p
    INNER JOIN plan_ledger AS l ON l.plan_id = p.of_plan_id AND l.first_line = p.of_first_row
    CROSS JOIN LATERAL unnest(
        l.product_codes, l.region_codes, l.bucket_dates, l.tiers, l.demanded_units, l.from_stock_units,
        l.from_supply_units, l.from_buffer_units, l.from_node_stock_units, l.from_region_stock_units, l.sent_to_regions_units, l.assigned_units, l.shortfalls
    ) AS c (
        product_code, region_code, bucket_date, tier, demanded_units, from_stock_units,
        from_supply_units, from_buffer_units, from_node_stock_units, from_region_stock_units, sent_to_regions_units, assigned_units, shortfalls
    )
    WHERE p.plan_id = $1 AND p.book = 'ledger'
),
keyed AS (
    SELECT k.totalled_by, k.code, l.*
    FROM lines AS l
    CROSS JOIN LATERAL (
        VALUES ('all', ''), ('bucket', l.bucket_date::text), ('product', l.product_code), ('region', l.region_code),
            ('tier', l.tier)
    ) AS k (totalled_by, code)
    WHERE $4::text IS NULL OR k.totalled_by = $4
),
reasons AS (
    SELECT r.totalled_by, r.code,
        jsonb_agg(jsonb_build_object('reason', r.reason, 'units', r.units) ORDER BY r.reason) AS shortfalls
    FROM (
        SELECT k.totalled_by, k.code, s ->> 'reason' AS reason, sum((s ->> 'units')::double precision) AS units
        FROM keyed AS k CROSS JOIN LATERAL jsonb_array_elements(k.shortfalls) AS s
        GROUP BY k.totalled_by, k.code, s ->> 'reason'
    ) AS r
    GROUP BY r.totalled_by, r.code
)
SELECT t.*, t.demanded_units - t.from_stock_units - t.from_supply_units - t.from_buffer_units
    - t.from_node_stock_units - t.from_region_stock_units - t.assigned_units - t.shortfall_units AS unaccounted_units,
    coalesce(r.shortfalls, '[]') AS shortfalls
FROM (
    SELECT totalled_by, code COLLATE "C" AS code, sum(demanded_units) AS demanded_units,
        sum(from_stock_units) AS from_stock_units, sum(from_supply_units) AS from_supply_units,
        sum(from_buffer_units) AS from_buffer_units, sum(from_node_stock_units) AS from_node_stock_units,
        sum(from_region_stock_units) AS from_region_stock_units, sum(sent_to_regions_units) AS sent_to_regions_units,
        sum(assigned_units) AS assigned_units,
        sum(shortfall_units) AS shortfall_units
    FROM keyed GROUP BY totalled_by, code
) AS t
LEFT JOIN reasons AS r USING (totalled_by, code)
WHERE (t.totalled_by COLLATE "C", t.code) > ($2, $3)
ORDER BY t.totalled_by COLLATE "C", t.code LIMIT $5;
