-- migrate:up

-- The signals of a pair in the order of the list, of any kind: a page of them reads itself and nothing else, however
-- many signals other pairs have. The history of a few pairs is read through it as well, and loses its own index: one
-- less than two that begin alike for every signal that comes.
CREATE INDEX demand_signals_of_pair ON demand_signals (product_code, region_code, signal_id)
WHERE superseded_at IS NULL;
-- squawk-ignore require-concurrent-index-deletion -- the new one takes its place in the same transaction
DROP INDEX demand_signals_consumed;

-- migrate:down
