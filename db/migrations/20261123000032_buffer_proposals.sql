-- migrate:up

-- How far a DDMRP buffer may move by itself.
ALTER TABLE policies ADD COLUMN buffer_tolerance_share double precision NOT NULL DEFAULT 0.1;

-- What was in force when a plan was made, where it was not what would have been sized that day: when that was sized, and what was
-- proposed in its place. Plans of before had no other than that of their day.
ALTER TABLE plan_buffers
ADD COLUMN sized_on_date date,
ADD COLUMN reference_node_code text COLLATE "C",
ADD COLUMN proposed jsonb,
ADD COLUMN warnings text [] NOT NULL DEFAULT '{}';

-- Other zones for buffers than those in force, each with what became of it; the accepted ones are the history of zones. They
-- outlive the plans that found them.
CREATE TABLE buffer_proposals (
    proposal_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    plan_id uuid NOT NULL,
    as_of timestamptz NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT now(),
    product_code text COLLATE "C" NOT NULL,
    region_code text COLLATE "C" NOT NULL,
    before jsonb,
    after jsonb NOT NULL,
    reasons text [] NOT NULL,
    changed_share double precision NOT NULL,
    tolerance_share double precision NOT NULL,
    status text NOT NULL,
    decided_at timestamptz,
    decided_by_key_id uuid REFERENCES api_keys,
    revision bigint NOT NULL DEFAULT 1,
    CONSTRAINT buffer_proposals_status_is_known CHECK (status IN ('open', 'accepted', 'discarded', 'superseded')),
    CONSTRAINT buffer_proposals_are_open_until_decided CHECK ((status = 'open') = (decided_at IS NULL))
);
CREATE UNIQUE INDEX buffer_proposals_open ON buffer_proposals (product_code, region_code) WHERE status = 'open';
CREATE INDEX buffer_proposals_by_pair ON buffer_proposals (product_code, region_code, as_of DESC, proposed_at DESC);
CREATE INDEX buffer_proposals_by_time ON buffer_proposals (proposed_at DESC, proposal_id DESC);

-- migrate:down
