-- name: list_totals
SELECT totalled_by, code, n_series, method, method_scores, method_failures, model_failures, accuracy
FROM forecast_totals
WHERE forecast_id = $1 AND (totalled_by, code) > ($2, $3) AND ($4::text IS NULL OR totalled_by = $4)
ORDER BY totalled_by, code LIMIT $5;

-- name: list_total_values
SELECT totalled_by, code, bucket_date, mean_units, p10_units, p50_units, p90_units
FROM forecast_total_values
WHERE forecast_id = $1 AND (totalled_by, code, bucket_date) > ($2, $3, $4)
    AND ($5::text IS NULL OR totalled_by = $5) AND ($6::text IS NULL OR code = $6)
ORDER BY totalled_by, code, bucket_date LIMIT $7;

-- name: insert_moved_totals
-- $1: a refresh that is stored already, $2: its base. The base's totals; of a product or region that has series only now, one that
-- adds them up.
INSERT INTO forecast_totals (
    forecast_id, totalled_by, code, n_series, method, method_scores, accuracy, method_failures, model_failures
)
SELECT $1, coalesce(t.totalled_by, new.totalled_by), coalesce(t.code, new.code),
    coalesce(t.n_series, 0) + coalesce(new.n_series, 0), coalesce(t.method, 'bottom_up'),
    coalesce(t.method_scores, '{}'), coalesce(t.accuracy, '{}'), coalesce(t.method_failures, '{}'),
    coalesce(t.model_failures, '{}')
FROM (SELECT * FROM forecast_totals WHERE forecast_id = $2) AS t
FULL JOIN (
    SELECT k.totalled_by, k.code, count(*)::integer AS n_series
    FROM forecast_series AS own
    CROSS JOIN LATERAL (
        VALUES ('product', own.product_code), ('region', own.region_code), ('all', '')
    ) AS k (totalled_by, code)
    WHERE own.forecast_id = $1 AND NOT EXISTS (
        SELECT FROM forecast_series AS base
        WHERE base.forecast_id = $2 AND base.product_code = own.product_code AND base.region_code = own.region_code
    )
    GROUP BY k.totalled_by, k.code
) AS new ON new.totalled_by = t.totalled_by AND new.code = t.code;

-- name: insert_moved_total_values
-- $1: a refresh, $2: its base. A total moves by what its series moved by, and its band in proportion; where nothing was
-- totalled yet, bands add up. Sums in numeric: the same in whatever order the rows come.
WITH moved AS (
    SELECT k.totalled_by, k.code, own.bucket_date,
        sum(own.mean_units::numeric - coalesce(base.mean_units, 0)::numeric)::double precision AS mean_units,
        sum(own.p10_units::numeric)::double precision AS p10_units,
        sum(own.p50_units::numeric)::double precision AS p50_units,
        sum(own.p90_units::numeric)::double precision AS p90_units
    FROM forecast_values AS own
    LEFT JOIN forecast_values AS base
        ON base.forecast_id = $2 AND base.product_code = own.product_code AND base.region_code = own.region_code
        AND base.bucket_date = own.bucket_date
    CROSS JOIN LATERAL (
        VALUES ('product', own.product_code), ('region', own.region_code), ('all', '')
    ) AS k (totalled_by, code)
    WHERE own.forecast_id = $1
    GROUP BY k.totalled_by, k.code, own.bucket_date
),
total AS (
    SELECT totalled_by, code, bucket_date, t.mean_units AS was_units, t.p10_units, t.p50_units, t.p90_units,
        greatest(0, t.mean_units + coalesce(m.mean_units, 0)) AS mean_units
    FROM (SELECT * FROM forecast_total_values WHERE forecast_id = $2) AS t
    LEFT JOIN moved AS m USING (totalled_by, code, bucket_date)
)
INSERT INTO forecast_total_values
SELECT $1, t.totalled_by, t.code, t.bucket_date, t.mean_units, t.p10_units * f.factor, t.p50_units * f.factor,
    t.p90_units * f.factor
FROM total AS t
CROSS JOIN LATERAL (
    SELECT CASE WHEN t.was_units > 0 THEN t.mean_units / t.was_units ELSE 1 END AS factor
) AS f
UNION ALL
SELECT $1, m.totalled_by, m.code, m.bucket_date, m.mean_units, m.p10_units, m.p50_units, m.p90_units
FROM moved AS m
WHERE NOT EXISTS (
    SELECT FROM forecast_totals AS t WHERE t.forecast_id = $2 AND t.totalled_by = m.totalled_by AND t.code = m.code
);

-- name: insert_rolled_total_values
-- $1: a forecast that was rolled forward, $2: the one it was rolled from. Series add up; a total's band lies as far from its mean,
-- by share, as so many steps ahead before. Where nothing was totalled yet, bands add up. Sums in numeric, as above.
WITH summed AS (
    SELECT k.totalled_by, k.code, own.bucket_date,
        row_number() OVER (PARTITION BY k.totalled_by, k.code ORDER BY own.bucket_date) AS step,
        sum(own.mean_units::numeric)::double precision AS mean_units,
        sum(own.p10_units::numeric)::double precision AS p10_units,
        sum(own.p50_units::numeric)::double precision AS p50_units,
        sum(own.p90_units::numeric)::double precision AS p90_units
    FROM forecast_values AS own
    CROSS JOIN LATERAL (
        VALUES ('product', own.product_code), ('region', own.region_code), ('all', '')
    ) AS k (totalled_by, code)
    WHERE own.forecast_id = $1
    GROUP BY k.totalled_by, k.code, own.bucket_date
),
before AS (
    SELECT totalled_by, code, mean_units, p10_units, p50_units, p90_units,
        row_number() OVER (PARTITION BY totalled_by, code ORDER BY bucket_date) AS step
    FROM forecast_total_values WHERE forecast_id = $2
)
INSERT INTO forecast_total_values
SELECT $1, s.totalled_by, s.code, s.bucket_date, s.mean_units,
    coalesce(b.p10_units * s.mean_units / b.mean_units, s.p10_units),
    coalesce(b.p50_units * s.mean_units / b.mean_units, s.p50_units),
    coalesce(b.p90_units * s.mean_units / b.mean_units, s.p90_units)
FROM summed AS s
LEFT JOIN before AS b
    ON b.totalled_by = s.totalled_by AND b.code = s.code AND b.step = s.step AND b.mean_units > 0;
