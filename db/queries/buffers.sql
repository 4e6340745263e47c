-- name: list_of_plan
SELECT product_code, region_code, as_of_date, usage_basis, history_basis, usage_from_date, usage_until_date,
    past_usage_units, past_usage_units_per_day, forward_usage_units_per_day, usage_units_per_day,
    adjusted_usage_units_per_day, lead_days, has_reference_node, adjusted_lead_days, yellow_units,
    red_base_units, red_safety_units, red_units, green_by_lead_time_units, green_by_order_cycle_units,
    green_by_minimum_order_units, green_units, top_of_red_units, top_of_yellow_units, top_of_green_units,
    on_hand_units, open_supply_units, past_due_units, due_today_units, spike_threshold_units,
    spike_horizon_days, spikes, qualified_demand_units, net_flow_units, priority_percent, color,
    on_hand_alert, order_units, coalesce(n_orders, (order_units > 0)::integer) AS n_orders,
    coalesce(largest_order_units, order_units) AS largest_order_units, order_due_date, order_bucket, projected_order_units,
    coalesce(sized_on_date, as_of_date) AS sized_on_date, reference_node_code, proposed, warnings,
    excluded_usage_days, excluded_usage
FROM plan_buffers
WHERE plan_id = $1 AND (product_code, region_code) > ($2, $3)
    AND ($4::text IS NULL OR product_code = $4) AND ($5::text IS NULL OR region_code = $5)
    AND ($6::text IS NULL OR color = $6) AND ($7::text IS NULL OR on_hand_alert = $7) AND ($8::text IS NULL OR $8 = ANY(warnings))
ORDER BY product_code, region_code LIMIT $9;

-- name: list_history
-- The newest first; $3 and $4 are the cursor.
SELECT plan_id, planned_at, product_code, region_code, as_of_date, usage_basis, history_basis, usage_from_date, usage_until_date,
    past_usage_units, past_usage_units_per_day, forward_usage_units_per_day, usage_units_per_day,
    adjusted_usage_units_per_day, lead_days, has_reference_node, adjusted_lead_days, yellow_units,
    red_base_units, red_safety_units, red_units, green_by_lead_time_units, green_by_order_cycle_units,
    green_by_minimum_order_units, green_units, top_of_red_units, top_of_yellow_units, top_of_green_units,
    on_hand_units, open_supply_units, past_due_units, due_today_units, spike_threshold_units,
    spike_horizon_days, spikes, qualified_demand_units, net_flow_units, priority_percent, color,
    on_hand_alert, order_units, coalesce(n_orders, (order_units > 0)::integer) AS n_orders,
    coalesce(largest_order_units, order_units) AS largest_order_units, order_due_date, order_bucket, projected_order_units,
    coalesce(sized_on_date, as_of_date) AS sized_on_date, reference_node_code, proposed, warnings,
    excluded_usage_days, excluded_usage
FROM plan_buffers
WHERE product_code = $1 AND region_code = $2 AND (planned_at, plan_id) < ($3, $4)
ORDER BY planned_at DESC, plan_id DESC LIMIT $5;
