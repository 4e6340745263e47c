-- migrate:up

-- squawk-ignore ban-drop-constraint -- a wider one takes its place in the same transaction
ALTER TABLE runs DROP CONSTRAINT runs_kind_is_known;
ALTER TABLE runs ADD CONSTRAINT runs_kind_is_known
CHECK (kind IN ('forecast', 'plan', 'verification', 'confirmation')) NOT VALID;
ALTER TABLE runs VALIDATE CONSTRAINT runs_kind_is_known;

-- What it costs to make a line of a plan at another node: stated from the plan's prices, and solved anew.
CREATE TABLE plan_confirmations (
    confirmation_id uuid PRIMARY KEY,
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    assignment_id integer NOT NULL,
    node_code text COLLATE "C" NOT NULL,
    units double precision NOT NULL,
    missed_units double precision NOT NULL,
    stated_measure text NOT NULL,
    stated_cost double precision NOT NULL,
    stages jsonb NOT NULL,
    wall_seconds double precision NOT NULL,
    code_version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX plan_confirmations_by_line ON plan_confirmations (plan_id, assignment_id);

-- migrate:down
