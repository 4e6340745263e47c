-- migrate:up

-- squawk-ignore ban-drop-constraint -- a wider one takes its place in the same transaction
ALTER TABLE runs DROP CONSTRAINT runs_kind_is_known;
ALTER TABLE runs ADD CONSTRAINT runs_kind_is_known
CHECK (kind IN ('forecast', 'plan', 'verification', 'confirmation', 'remedy')) NOT VALID;
ALTER TABLE runs VALIDATE CONSTRAINT runs_kind_is_known;

-- What would serve a need that a plan leaves short, solved anew.
CREATE TABLE plan_remedies (
    remedy_id uuid PRIMARY KEY,
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    shortfall_id integer NOT NULL,
    units double precision NOT NULL,
    remedies jsonb NOT NULL,
    wall_seconds double precision NOT NULL,
    code_version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX plan_remedies_by_shortfall ON plan_remedies (plan_id, shortfall_id);

-- migrate:down
