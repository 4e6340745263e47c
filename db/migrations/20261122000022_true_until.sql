-- migrate:up

-- From which instant on a later revision is the true one: the earliest at which any of them occurred. So what was true at an
-- instant is found among revisions without looking at their neighbours; a revision that is current has none.
ALTER TABLE demand_signals ADD COLUMN true_until timestamptz;
UPDATE demand_signals AS old SET true_until = (
    SELECT min(later.occurred_at) FROM demand_signals AS later
    WHERE later.source = old.source AND later.external_id = old.external_id AND later.revision > old.revision
)
WHERE old.superseded_at IS NOT NULL;
CREATE INDEX demand_signals_true_until ON demand_signals (true_until)
WHERE superseded_at IS NOT NULL AND kind <> 'consumption';

-- What was true of orders, leads or adjustments at an instant. Inlined.
CREATE FUNCTION demand_signals_at(instant timestamptz, of_kind text)
RETURNS SETOF demand_signals LANGUAGE sql STABLE AS $$
    SELECT s.* FROM demand_signals AS s
    WHERE s.superseded_at IS NULL AND s.kind = of_kind AND s.kind <> 'consumption' AND s.occurred_at <= instant
    UNION ALL
    SELECT s.* FROM demand_signals AS s
    WHERE s.superseded_at IS NOT NULL AND s.kind = of_kind AND s.kind <> 'consumption' AND s.occurred_at <= instant
        AND s.true_until > instant
$$;

-- How much of an order was shipped at an instant before the last of it was: what the latest revision said that spoke of no later
-- shipment. `shipped_units` is all that ever went out, `shipped_at` when the last of it did.
CREATE FUNCTION shipped_units_before(o demand_signals, instant timestamptz)
RETURNS double precision LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT said.shipped_units FROM demand_signals AS said
        WHERE said.source = o.source AND said.external_id = o.external_id AND said.superseded_at IS NOT NULL
            AND said.revision < o.revision AND (said.shipped_at IS NULL OR said.shipped_at <= instant)
        ORDER BY said.revision DESC LIMIT 1
    ), 0)
$$;

-- migrate:down
