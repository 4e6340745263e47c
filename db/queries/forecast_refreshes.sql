-- name: read_few_rows
-- A snapshot's settings are for whole tables; here a few rows are looked up, each through its index.
SELECT set_config('enable_nestloop', 'on', true), set_config('enable_hashjoin', 'off', true),
    set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true);

-- name: read_whole_tables
SELECT set_config('enable_nestloop', 'off', true), set_config('enable_hashjoin', 'on', true),
    set_config('enable_mergejoin', 'on', true), set_config('enable_seqscan', 'on', true);

-- name: find_base
-- $1: bucket, $2: its first day, $3: horizon, $4: steps, $5: profile, $6: as_of, $7: code version, $8: hash of the
-- rules of history, $9: the earliest day on which what it knows of all series may have been learned. The latest forecast
-- stored in full that answers the same question, now or in buckets that have ended, made by the same code and rules.
SELECT forecast_id, as_of, first_bucket_date, seen::text AS seen, measures, experience, knowledge
FROM forecasts
WHERE bucket = $1 AND first_bucket_date BETWEEN $9 AND $2 AND horizon_buckets = $3 AND n_steps = $4
    AND parameters ->> 'profile' = $5 AND as_of <= $6 AND code_version = $7 AND rules_hash = $8
    AND (first_bucket_date = $2 OR (knowledge ->> 'learned_date')::date >= $9)
    AND base_forecast_id IS NULL AND pg_snapshot_xmin(seen) <= pg_snapshot_xmin(pg_current_snapshot())
ORDER BY as_of DESC, created_at DESC, forecast_id DESC LIMIT 1;

-- name: list_pairs_with_news
-- $1: what the base had seen, $2: its as_of, $3: as_of, $4: the first day of as_of's bucket, $5: time zone, $6: the base.
-- Only what lies before as_of's bucket is history; of adjustments every one counts. Of a revised signal the pairs that it
-- spoke of before count as well. A count is news where it tells of an empty shelf or ends one, or of a new pair.
WITH written AS MATERIALIZED (
    SELECT source, external_id, revision, kind, product_code, region_code, occurred_at, due_date
    FROM demand_signals
    WHERE written_xid >= pg_snapshot_xmin($1::text::pg_snapshot)
        AND NOT pg_visible_in_snapshot(written_xid, $1::text::pg_snapshot)
    UNION ALL
    SELECT source, external_id, revision, kind, product_code, region_code, occurred_at, due_date
    FROM demand_signals
    WHERE superseded_at IS NULL AND kind IN ('adjustment', 'order') AND occurred_at > $2 AND occurred_at <= $3
),
told AS (
    SELECT kind, product_code, region_code, occurred_at, due_date FROM written
    UNION ALL
    SELECT old.kind, old.product_code, old.region_code, old.occurred_at, old.due_date
    FROM written AS w JOIN demand_signals AS old USING (source, external_id)
    WHERE w.revision > 1 AND old.superseded_at IS NOT NULL
),
shelves AS (
    SELECT product_code, region_code, counted_at AS seen_at, true AS is_count FROM stock_counts
    WHERE written_xid >= pg_snapshot_xmin($1::text::pg_snapshot)
        AND NOT pg_visible_in_snapshot(written_xid, $1::text::pg_snapshot) AND counted_at <= $3
    UNION ALL
    SELECT product_code, region_code, receipt_at, false FROM open_supply
    WHERE written_xid >= pg_snapshot_xmin($1::text::pg_snapshot)
        AND NOT pg_visible_in_snapshot(written_xid, $1::text::pg_snapshot) AND receipt_at <= $3
),
news AS (
    SELECT product_code, region_code FROM told
    WHERE kind = 'adjustment' OR (kind = 'order' AND due_date < $4::date)
        OR (kind = 'consumption' AND occurred_at < ($4::date::timestamp AT TIME ZONE $5::text))
    UNION
    SELECT n.product_code, n.region_code FROM shelves AS n
    WHERE n.seen_at < ($4::date::timestamp AT TIME ZONE $5::text) AND EXISTS (
        SELECT FROM stock_counts AS c
        WHERE c.product_code = n.product_code AND c.region_code = n.region_code
            AND c.counted_at <= n.seen_at AND c.counted_at > n.seen_at - interval '7 days'
            AND c.on_hand_units - c.reserved_units - c.blocked_units <= 0
    )
    UNION
    SELECT n.product_code, n.region_code FROM shelves AS n
    WHERE n.is_count AND NOT EXISTS (
        SELECT FROM forecast_series AS s
        WHERE s.forecast_id = $6 AND s.product_code = n.product_code AND s.region_code = n.region_code
    )
)
SELECT n.product_code, n.region_code
FROM news AS n JOIN products AS p USING (product_code) JOIN regions AS r USING (region_code)
WHERE p.retired_at IS NULL AND r.retired_at IS NULL
ORDER BY n.product_code, n.region_code;

-- name: list_drifted_pairs
-- $1: the base, $2: how many. Of a base that was rolled forward the series that had drifted and yet kept their model.
SELECT product_code, region_code
FROM forecast_series
WHERE forecast_id = $1 AND refresh_reason = 'bucket' AND (experience ->> 'has_drifted')::boolean
ORDER BY abs((experience ->> 'tracking_signal')::double precision) DESC, product_code, region_code LIMIT $2;

-- name: list_products
-- $1: a forecast, $2: some products; null: all.
SELECT product_code, season_factors, is_whole
FROM forecast_products
WHERE forecast_id = $1 AND ($2::text [] IS NULL OR product_code = ANY($2)) ORDER BY product_code;

-- name: list_series
-- $1: the base, $2 and $3: pairs; null: all. Of the product of a pair that is new, all series.
WITH pairs AS (
    SELECT n.product_code, n.region_code FROM unnest($2::text [], $3::text []) AS n (product_code, region_code)
),
wanted AS (
    SELECT product_code, region_code FROM pairs
    UNION
    SELECT others.product_code, others.region_code
    FROM pairs AS n
    LEFT JOIN forecast_series AS s
        ON s.forecast_id = $1 AND s.product_code = n.product_code AND s.region_code = n.region_code
    JOIN forecast_series AS others ON others.forecast_id = $1 AND others.product_code = n.product_code
    WHERE s.demand_class IS NULL OR s.demand_class = 'new'
    UNION
    SELECT product_code, region_code FROM forecast_series WHERE forecast_id = $1 AND $2::text [] IS NULL
)
SELECT s.product_code, s.region_code, s.demand_class, s.model, s.fallback_reason, s.history_buckets, s.accuracy,
    s.error_paths_units, v.mean_units, v.p10_units, v.p50_units, v.p90_units, v.adjustment_units,
    s.history_first_date, s.history_units, s.history_used_units, s.history_marks, s.candidates, s.backtest, s.experience
FROM wanted AS w
JOIN forecast_series AS s
    ON s.forecast_id = $1 AND s.product_code = w.product_code AND s.region_code = w.region_code
CROSS JOIN LATERAL (
    SELECT array_agg(o.mean_units ORDER BY o.bucket_date) AS mean_units,
        array_agg(o.p10_units ORDER BY o.bucket_date) AS p10_units,
        array_agg(o.p50_units ORDER BY o.bucket_date) AS p50_units,
        array_agg(o.p90_units ORDER BY o.bucket_date) AS p90_units,
        array_agg(o.adjustment_units ORDER BY o.bucket_date) AS adjustment_units
    FROM forecast_values AS o
    WHERE o.forecast_id = $1 AND o.product_code = s.product_code AND o.region_code = s.region_code
) AS v
ORDER BY s.product_code, s.region_code;
