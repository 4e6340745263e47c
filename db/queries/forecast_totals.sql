-- name: list_totals
SELECT totalled_by, code, n_series, method, method_scores, accuracy
FROM forecast_totals
WHERE forecast_id = $1 AND (totalled_by, code) > ($2, $3) AND ($4::text IS NULL OR totalled_by = $4)
ORDER BY totalled_by, code LIMIT $5;

-- name: list_total_values
SELECT totalled_by, code, bucket_date, mean_units, p10_units, p50_units, p90_units
FROM forecast_total_values
WHERE forecast_id = $1 AND (totalled_by, code, bucket_date) > ($2, $3, $4)
    AND ($5::text IS NULL OR totalled_by = $5) AND ($6::text IS NULL OR code = $6)
ORDER BY totalled_by, code, bucket_date LIMIT $7;
