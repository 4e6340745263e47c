-- name: insert_forecast
INSERT INTO forecasts (
    forecast_id, run_id, as_of, bucket, first_bucket_date, horizon_buckets, n_steps, parameters, snapshot_at,
    snapshot_hash, measures, wall_seconds, code_version, experience, base_forecast_id, n_refreshed_series, seen, rules_hash,
    knowledge, rolled_from_forecast_id, n_refitted_series
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17::text::pg_snapshot, $18, $19, $20, $21);

-- name: find_forecast
SELECT forecast_id, run_id, as_of, bucket, first_bucket_date, horizon_buckets, n_steps, parameters, snapshot_at,
    snapshot_hash, measures, wall_seconds, code_version, created_at, experience, base_forecast_id, n_refreshed_series,
    rolled_from_forecast_id, n_refitted_series
FROM forecasts WHERE forecast_id = $1;

-- name: list_forecasts
SELECT forecast_id, run_id, as_of, bucket, first_bucket_date, horizon_buckets, n_steps, parameters, snapshot_at,
    snapshot_hash, measures, wall_seconds, code_version, created_at, experience, base_forecast_id, n_refreshed_series,
    rolled_from_forecast_id, n_refitted_series
FROM forecasts
WHERE (created_at, forecast_id) < ($1, $2) AND created_at >= $3
ORDER BY created_at DESC, forecast_id DESC LIMIT $4;

-- name: list_values
SELECT product_code, region_code, bucket_date, mean_units, p10_units, p50_units, p90_units, adjustment_units
FROM forecast_values_of($1)
WHERE (product_code, region_code, bucket_date) > ($2, $3, $4)
    AND ($5::text IS NULL OR product_code = $5) AND ($6::text IS NULL OR region_code = $6)
ORDER BY product_code, region_code, bucket_date LIMIT $7;

-- name: list_series
SELECT product_code, region_code, demand_class, model, fallback_reason, history_buckets, accuracy, experience,
    refresh_reason
FROM forecast_series_of($1)
WHERE (product_code, region_code) > ($2, $3)
    AND ($4::text IS NULL OR product_code = $4) AND ($5::text IS NULL OR region_code = $5)
    AND ($6::text IS NULL OR demand_class = $6)
ORDER BY product_code, region_code LIMIT $7;

-- name: list_forecasts_in_force
-- $1: bucket, $2 to $3: first days of buckets, $4: as_of, $5: days of a bucket. Of each bucket the latest forecast that
-- was made from before its end; of several as of one bucket the one that was made last.
SELECT DISTINCT ON (b.bucket_date) b.bucket_date, f.forecast_id
FROM (
    SELECT $2::date + n * $5::integer AS bucket_date FROM generate_series(0, ($3::date - $2::date) / $5::integer - 1) AS n
) AS b
JOIN forecasts AS f
    ON f.bucket = $1 AND f.as_of <= $4 AND f.first_bucket_date <= b.bucket_date
    AND b.bucket_date < f.first_bucket_date + f.n_steps * $5::integer
ORDER BY b.bucket_date, f.first_bucket_date DESC, f.created_at DESC, f.forecast_id DESC;

-- name: list_values_in_force
-- Of one forecast, in the buckets in which it was in force.
SELECT product_code, region_code, bucket_date, mean_units, p10_units, p50_units, p90_units
FROM forecast_values_of($1) WHERE bucket_date = ANY($2::date [])
ORDER BY product_code, region_code, bucket_date;

-- name: list_history
SELECT r.product_code, r.region_code, r.bucket_date, r.units, r.used_units, r.mark
FROM (
    SELECT s.product_code, s.region_code,
        s.history_first_date + (h.n - 1)::integer * CASE f.bucket WHEN 'week' THEN 7 ELSE 1 END AS bucket_date,
        h.units, h.used_units, h.mark
    FROM forecast_series_of($1) AS s JOIN forecasts AS f USING (forecast_id)
    CROSS JOIN LATERAL unnest(s.history_units, s.history_used_units, s.history_marks)
        WITH ORDINALITY AS h (units, used_units, mark, n)
    WHERE (s.product_code, s.region_code) >= ($2, $3)
        AND ($5::text IS NULL OR s.product_code = $5) AND ($6::text IS NULL OR s.region_code = $6)
) AS r
WHERE (r.product_code, r.region_code, r.bucket_date) > ($2, $3, $4)
ORDER BY r.product_code, r.region_code, r.bucket_date LIMIT $7;

-- name: list_candidates
SELECT s.product_code, s.region_code, c.place::integer, c.model, c.model = s.model AS is_chosen, c.score, c.bias_share,
    c.is_biased, c.failure
FROM forecast_series_of($1) AS s
CROSS JOIN LATERAL ROWS FROM (
    jsonb_to_recordset(s.candidates)
    AS (model text, score double precision, bias_share double precision, is_biased boolean, failure text)
) WITH ORDINALITY AS c (model, score, bias_share, is_biased, failure, place)
WHERE (s.product_code, s.region_code, c.place) > ($2, $3, $4::integer)
    AND ($5::text IS NULL OR s.product_code = $5) AND ($6::text IS NULL OR s.region_code = $6)
ORDER BY s.product_code, s.region_code, c.place LIMIT $7;

-- name: list_backtest
-- Quantiles are empty arrays where none were drawn: then their elements are null.
SELECT r.product_code, r.region_code, r.origin_date, r.bucket_date, r.actual_units, r.mean_units, r.p10_units,
    r.p50_units, r.p90_units
FROM (
    SELECT s.product_code, s.region_code, p.first_bucket_date AS origin_date,
        p.first_bucket_date + (m.step - 1)::integer * f.days AS bucket_date,
        s.history_units[(p.first_bucket_date - s.history_first_date) / f.days + m.step::integer] AS actual_units,
        m.units AS mean_units,
        (p.p10_units ->> (m.step - 1)::integer)::double precision AS p10_units,
        (p.p50_units ->> (m.step - 1)::integer)::double precision AS p50_units,
        (p.p90_units ->> (m.step - 1)::integer)::double precision AS p90_units
    FROM forecast_series_of($1) AS s
    JOIN (
        SELECT forecast_id, CASE bucket WHEN 'week' THEN 7 ELSE 1 END AS days FROM forecasts
    ) AS f USING (forecast_id)
    CROSS JOIN LATERAL jsonb_to_recordset(s.backtest) AS p (
        first_bucket_date date, mean_units double precision [], p10_units jsonb, p50_units jsonb, p90_units jsonb
    )
    CROSS JOIN LATERAL unnest(p.mean_units) WITH ORDINALITY AS m (units, step)
    WHERE (s.product_code, s.region_code) >= ($2, $3)
        AND ($6::text IS NULL OR s.product_code = $6) AND ($7::text IS NULL OR s.region_code = $7)
) AS r
WHERE (r.product_code, r.region_code, r.origin_date, r.bucket_date) > ($2, $3, $4, $5)
ORDER BY r.product_code, r.region_code, r.origin_date, r.bucket_date LIMIT $8;

-- name: insert_products
INSERT INTO forecast_products (forecast_id, product_code, season_factors, is_whole)
SELECT $1, p.product_code, p.season_factors, p.is_whole
FROM jsonb_to_recordset($2) AS p (product_code text, season_factors double precision [], is_whole boolean);

-- name: list_series_for_planning
SELECT s.product_code, s.region_code, s.demand_class, s.model, s.fallback_reason, s.history_buckets, s.accuracy,
    s.error_paths_units, v.mean_units, v.p10_units, v.p50_units, v.p90_units, v.adjustment_units
FROM forecast_series_of($1) AS s
JOIN (
    SELECT product_code, region_code,
        array_agg(mean_units ORDER BY bucket_date) AS mean_units,
        array_agg(p10_units ORDER BY bucket_date) AS p10_units,
        array_agg(p50_units ORDER BY bucket_date) AS p50_units,
        array_agg(p90_units ORDER BY bucket_date) AS p90_units,
        array_agg(adjustment_units ORDER BY bucket_date) AS adjustment_units
    FROM forecast_values_of($1) GROUP BY product_code, region_code
) AS v USING (product_code, region_code)
ORDER BY s.product_code, s.region_code;
