-- migrate:up

-- Policies that pull through a DDMRP buffer, and what sizes it.
-- Replaced below by one that allows more.
-- squawk-ignore ban-drop-constraint
ALTER TABLE policies DROP CONSTRAINT policies_policy_is_known;
ALTER TABLE policies
ADD COLUMN lead_time_factor double precision NOT NULL DEFAULT 0.5,
ADD COLUMN variability_factor double precision NOT NULL DEFAULT 0.5,
ADD COLUMN usage_basis text NOT NULL DEFAULT 'past',
ADD COLUMN usage_past_days integer NOT NULL DEFAULT 90,
ADD COLUMN usage_forward_days integer NOT NULL DEFAULT 28,
ADD COLUMN usage_past_share double precision NOT NULL DEFAULT 0.5,
ADD COLUMN order_cycle_days integer,
ADD COLUMN minimum_order_units double precision NOT NULL DEFAULT 0,
ADD COLUMN order_multiple_units double precision NOT NULL DEFAULT 0,
ADD COLUMN demand_adjustment_factor double precision NOT NULL DEFAULT 1,
ADD COLUMN lead_time_adjustment_factor double precision NOT NULL DEFAULT 1,
ADD COLUMN red_zone_factor double precision NOT NULL DEFAULT 1,
ADD COLUMN yellow_zone_factor double precision NOT NULL DEFAULT 1,
ADD COLUMN green_zone_factor double precision NOT NULL DEFAULT 1,
ADD COLUMN spike_threshold_units double precision,
ADD COLUMN spike_horizon_days integer,
ADD COLUMN buffer_rounding text NOT NULL DEFAULT 'none',
ADD CONSTRAINT policies_policy_is_known
CHECK (policy IN ('make_to_order', 'base_stock', 'ddmrp_buffer')) NOT VALID,
ADD CONSTRAINT policies_usage_basis_is_known
CHECK (usage_basis IN ('past', 'forward', 'blended')) NOT VALID,
ADD CONSTRAINT policies_buffer_rounding_is_known
CHECK (buffer_rounding IN ('none', 'half_up_component', 'half_up_zone', 'at_order')) NOT VALID;

-- What DDMRP buffers said when a plan was made, with every step on the way to their order.
CREATE TABLE plan_buffers (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    planned_at timestamptz NOT NULL DEFAULT now(),
    product_code text COLLATE "C" NOT NULL,
    region_code text COLLATE "C" NOT NULL,
    as_of_date date NOT NULL,
    usage_basis text NOT NULL,
    history_basis text NOT NULL,
    usage_from_date date NOT NULL,
    usage_until_date date NOT NULL,
    past_usage_units double precision NOT NULL,
    past_usage_units_per_day double precision NOT NULL,
    forward_usage_units_per_day double precision,
    usage_units_per_day double precision NOT NULL,
    adjusted_usage_units_per_day double precision NOT NULL,
    lead_days integer NOT NULL,
    has_reference_node boolean NOT NULL,
    adjusted_lead_days double precision NOT NULL,
    yellow_units double precision NOT NULL,
    red_base_units double precision NOT NULL,
    red_safety_units double precision NOT NULL,
    red_units double precision NOT NULL,
    green_by_lead_time_units double precision NOT NULL,
    green_by_order_cycle_units double precision NOT NULL,
    green_by_minimum_order_units double precision NOT NULL,
    green_units double precision NOT NULL,
    top_of_red_units double precision NOT NULL,
    top_of_yellow_units double precision NOT NULL,
    top_of_green_units double precision NOT NULL,
    on_hand_units double precision NOT NULL,
    open_supply_units double precision NOT NULL,
    past_due_units double precision NOT NULL,
    due_today_units double precision NOT NULL,
    spike_threshold_units double precision NOT NULL,
    spike_horizon_days integer NOT NULL,
    spikes jsonb NOT NULL,
    qualified_demand_units double precision NOT NULL,
    net_flow_units double precision NOT NULL,
    priority_percent double precision,
    color text NOT NULL,
    on_hand_alert text NOT NULL,
    order_units double precision NOT NULL,
    order_due_date date NOT NULL,
    order_bucket integer NOT NULL,
    projected_order_units double precision [] NOT NULL,
    PRIMARY KEY (plan_id, product_code, region_code)
);
CREATE INDEX plan_buffers_by_pair ON plan_buffers (product_code, region_code, planned_at DESC, plan_id DESC);

-- migrate:down
