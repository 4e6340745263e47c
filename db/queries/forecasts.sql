-- name: insert_forecast
INSERT INTO forecasts (
    forecast_id, run_id, as_of, bucket, first_bucket_date, horizon_buckets, n_steps, parameters, snapshot_at,
    snapshot_hash, measures, wall_seconds, code_version
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: find_forecast
SELECT forecast_id, run_id, as_of, bucket, first_bucket_date, horizon_buckets, n_steps, parameters, snapshot_at,
    snapshot_hash, measures, wall_seconds, code_version, created_at
FROM forecasts WHERE forecast_id = $1;

-- name: list_forecasts
SELECT forecast_id, run_id, as_of, bucket, first_bucket_date, horizon_buckets, n_steps, parameters, snapshot_at,
    snapshot_hash, measures, wall_seconds, code_version, created_at
FROM forecasts
WHERE (created_at, forecast_id) < ($1, $2) AND created_at >= $3
ORDER BY created_at DESC, forecast_id DESC LIMIT $4;

-- name: list_values
SELECT product_code, region_code, bucket_date, mean_units, p10_units, p50_units, p90_units, adjustment_units
FROM forecast_values
WHERE forecast_id = $1 AND (product_code, region_code, bucket_date) > ($2, $3, $4)
    AND ($5::text IS NULL OR product_code = $5) AND ($6::text IS NULL OR region_code = $6)
ORDER BY product_code, region_code, bucket_date LIMIT $7;

-- name: list_series
SELECT product_code, region_code, demand_class, model, fallback_reason, history_buckets, accuracy
FROM forecast_series
WHERE forecast_id = $1 AND (product_code, region_code) > ($2, $3)
    AND ($4::text IS NULL OR product_code = $4) AND ($5::text IS NULL OR region_code = $5)
    AND ($6::text IS NULL OR demand_class = $6)
ORDER BY product_code, region_code LIMIT $7;

-- name: list_series_for_planning
SELECT s.product_code, s.region_code, s.demand_class, s.model, s.fallback_reason, s.history_buckets, s.accuracy,
    s.error_paths_units,
    array_agg(v.mean_units ORDER BY v.bucket_date) AS mean_units,
    array_agg(v.p10_units ORDER BY v.bucket_date) AS p10_units,
    array_agg(v.p50_units ORDER BY v.bucket_date) AS p50_units,
    array_agg(v.p90_units ORDER BY v.bucket_date) AS p90_units,
    array_agg(v.adjustment_units ORDER BY v.bucket_date) AS adjustment_units
FROM forecast_series AS s JOIN forecast_values AS v USING (forecast_id, product_code, region_code)
WHERE s.forecast_id = $1
GROUP BY s.forecast_id, s.product_code, s.region_code
ORDER BY s.product_code, s.region_code;
