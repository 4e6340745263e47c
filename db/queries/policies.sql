-- name: stage
CREATE TEMP TABLE staged_policies (
    ordinal bigint GENERATED ALWAYS AS IDENTITY,
    LIKE policies INCLUDING DEFAULTS
) ON COMMIT DROP;

-- name: refuse
INSERT INTO refused (ordinal, code, field, given, first_ordinal)
SELECT ordinal, 'duplicate-line', 'region_code', concat_ws(' ', product_code, region_code, effective_from), first_ordinal
FROM (
    SELECT ordinal, product_code, region_code, effective_from,
        min(ordinal) OVER (PARTITION BY product_code, region_code, effective_from) AS first_ordinal
    FROM staged_policies
) AS numbered
WHERE ordinal > first_ordinal
UNION ALL
SELECT ordinal, 'unknown-code', 'product_code', staged.product_code, NULL
FROM staged_policies AS staged
LEFT JOIN products AS parent ON parent.product_code = staged.product_code AND parent.retired_at IS NULL
WHERE parent.product_code IS NULL AND staged.product_code <> '*'
UNION ALL
SELECT ordinal, 'unknown-code', 'region_code', staged.region_code, NULL
FROM staged_policies AS staged
LEFT JOIN regions AS parent ON parent.region_code = staged.region_code AND parent.retired_at IS NULL
WHERE parent.region_code IS NULL AND staged.region_code <> '*';

-- name: merge
INSERT INTO policies AS stored (product_code, region_code, policy, service_level_share, review_period_days, consume_buckets_back, consume_buckets_forward, lead_probability_min, history_basis,
    lead_time_factor, variability_factor, usage_basis, usage_past_days, usage_forward_days, usage_past_share,
    order_cycle_days, minimum_order_units, order_multiple_units, maximum_order_units, demand_adjustment_factor,
    lead_time_adjustment_factor, red_zone_factor, yellow_zone_factor, green_zone_factor,
    spike_threshold_units, spike_horizon_days, buffer_rounding, buffer_tolerance_share,
    minimum_stock_units, maximum_stock_units, effective_from, effective_until)
SELECT product_code, region_code, policy, service_level_share, review_period_days, consume_buckets_back, consume_buckets_forward, lead_probability_min, history_basis,
    lead_time_factor, variability_factor, usage_basis, usage_past_days, usage_forward_days, usage_past_share,
    order_cycle_days, minimum_order_units, order_multiple_units, maximum_order_units, demand_adjustment_factor,
    lead_time_adjustment_factor, red_zone_factor, yellow_zone_factor, green_zone_factor,
    spike_threshold_units, spike_horizon_days, buffer_rounding, buffer_tolerance_share,
    minimum_stock_units, maximum_stock_units, effective_from, effective_until
FROM staged_policies AS staged
WHERE NOT EXISTS (SELECT FROM refused WHERE refused.ordinal = staged.ordinal)
ORDER BY product_code, region_code, effective_from
ON CONFLICT (product_code, region_code, effective_from) DO UPDATE SET
    policy = excluded.policy,
    service_level_share = excluded.service_level_share,
    review_period_days = excluded.review_period_days,
    consume_buckets_back = excluded.consume_buckets_back,
    consume_buckets_forward = excluded.consume_buckets_forward,
    lead_probability_min = excluded.lead_probability_min,
    history_basis = excluded.history_basis,
    lead_time_factor = excluded.lead_time_factor,
    variability_factor = excluded.variability_factor,
    usage_basis = excluded.usage_basis,
    usage_past_days = excluded.usage_past_days,
    usage_forward_days = excluded.usage_forward_days,
    usage_past_share = excluded.usage_past_share,
    order_cycle_days = excluded.order_cycle_days,
    minimum_order_units = excluded.minimum_order_units,
    order_multiple_units = excluded.order_multiple_units,
    maximum_order_units = excluded.maximum_order_units,
    demand_adjustment_factor = excluded.demand_adjustment_factor,
    lead_time_adjustment_factor = excluded.lead_time_adjustment_factor,
    red_zone_factor = excluded.red_zone_factor,
    yellow_zone_factor = excluded.yellow_zone_factor,
    green_zone_factor = excluded.green_zone_factor,
    spike_threshold_units = excluded.spike_threshold_units,
    spike_horizon_days = excluded.spike_horizon_days,
    buffer_rounding = excluded.buffer_rounding,
    buffer_tolerance_share = excluded.buffer_tolerance_share,
    minimum_stock_units = excluded.minimum_stock_units,
    maximum_stock_units = excluded.maximum_stock_units,
    effective_until = excluded.effective_until,
    updated_at = now()
WHERE (stored.policy, stored.service_level_share, stored.review_period_days, stored.consume_buckets_back, stored.consume_buckets_forward, stored.lead_probability_min, stored.history_basis,
    stored.lead_time_factor, stored.variability_factor, stored.usage_basis, stored.usage_past_days,
    stored.usage_forward_days, stored.usage_past_share, stored.order_cycle_days, stored.minimum_order_units,
    stored.order_multiple_units, stored.maximum_order_units, stored.demand_adjustment_factor, stored.lead_time_adjustment_factor,
    stored.red_zone_factor, stored.yellow_zone_factor, stored.green_zone_factor,
    stored.spike_threshold_units, stored.spike_horizon_days, stored.buffer_rounding, stored.buffer_tolerance_share,
    stored.minimum_stock_units, stored.maximum_stock_units, stored.effective_until)
    IS DISTINCT FROM (excluded.policy, excluded.service_level_share, excluded.review_period_days, excluded.consume_buckets_back, excluded.consume_buckets_forward, excluded.lead_probability_min, excluded.history_basis,
    excluded.lead_time_factor, excluded.variability_factor, excluded.usage_basis, excluded.usage_past_days,
    excluded.usage_forward_days, excluded.usage_past_share, excluded.order_cycle_days,
    excluded.minimum_order_units, excluded.order_multiple_units, excluded.maximum_order_units, excluded.demand_adjustment_factor,
    excluded.lead_time_adjustment_factor, excluded.red_zone_factor, excluded.yellow_zone_factor,
    excluded.green_zone_factor, excluded.spike_threshold_units, excluded.spike_horizon_days,
    excluded.buffer_rounding, excluded.buffer_tolerance_share, excluded.minimum_stock_units, excluded.maximum_stock_units, excluded.effective_until);

-- name: retire_absent
DELETE FROM policies AS stored
WHERE NOT EXISTS (
    SELECT FROM staged_policies AS staged
    WHERE staged.product_code = stored.product_code AND staged.region_code = stored.region_code
      AND staged.effective_from IS NOT DISTINCT FROM stored.effective_from
);

-- name: list_page
SELECT product_code, region_code, policy, service_level_share, review_period_days, consume_buckets_back, consume_buckets_forward, lead_probability_min, history_basis,
    lead_time_factor, variability_factor, usage_basis, usage_past_days, usage_forward_days, usage_past_share,
    order_cycle_days, minimum_order_units, order_multiple_units, maximum_order_units, demand_adjustment_factor,
    lead_time_adjustment_factor, red_zone_factor, yellow_zone_factor, green_zone_factor,
    spike_threshold_units, spike_horizon_days, buffer_rounding, buffer_tolerance_share,
    minimum_stock_units, maximum_stock_units, effective_from, effective_until, updated_at
FROM policies
WHERE (product_code, region_code, coalesce(effective_from, '-infinity')) > ($1::text, $2::text, coalesce($3::date, '-infinity'))
  AND ($5::timestamptz IS NULL OR updated_at >= $5)
  AND ($6::text IS NULL OR product_code = $6)
  AND ($7::text IS NULL OR region_code = $7)
  AND ($8::date IS NULL OR (coalesce(effective_from <= $8, TRUE) AND coalesce(effective_until > $8, TRUE)))
ORDER BY product_code, region_code, coalesce(effective_from, '-infinity')
LIMIT $4;
