-- migrate:up

-- It is made again, wider, in the same transaction.
-- squawk-ignore ban-drop-constraint
ALTER TABLE runs DROP CONSTRAINT runs_kind_is_known;
ALTER TABLE runs ADD CONSTRAINT runs_kind_is_known
    CHECK (kind IN ('forecast', 'plan', 'verification')) NOT VALID;
ALTER TABLE runs VALIDATE CONSTRAINT runs_kind_is_known;

-- What a checker that shares nothing with the planner found in a stored plan.
CREATE TABLE plan_verifications (
    verification_id uuid PRIMARY KEY,
    run_id uuid NOT NULL,
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    valid boolean NOT NULL,
    n_findings integer NOT NULL,
    findings jsonb NOT NULL,
    stages jsonb NOT NULL,
    checked jsonb NOT NULL,
    wall_seconds double precision NOT NULL,
    code_version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT plan_verifications_one_for_each_run UNIQUE (run_id),
    CONSTRAINT plan_verifications_valid_has_no_findings CHECK (valid = (n_findings = 0))
);
CREATE INDEX plan_verifications_by_creation ON plan_verifications (plan_id, created_at, verification_id);

-- migrate:down
