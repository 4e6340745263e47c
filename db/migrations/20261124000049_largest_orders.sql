-- migrate:up

-- The largest order of a DDMRP buffer: what is more is split. Buffers of before were never split: null says so.
ALTER TABLE policies ADD COLUMN maximum_order_units double precision;
ALTER TABLE plan_buffers ADD COLUMN n_orders integer;
ALTER TABLE plan_buffers ADD COLUMN largest_order_units double precision;

-- migrate:down
