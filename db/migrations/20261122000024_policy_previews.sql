-- migrate:up

-- squawk-ignore ban-drop-constraint -- a wider one takes its place in the same transaction
ALTER TABLE runs DROP CONSTRAINT runs_kind_is_known;
ALTER TABLE runs ADD CONSTRAINT runs_kind_is_known
CHECK (kind IN ('forecast', 'plan', 'verification', 'confirmation', 'remedy', 'policy_preview')) NOT VALID;
ALTER TABLE runs VALIDATE CONSTRAINT runs_kind_is_known;

-- What policies would change that are not stored.
CREATE TABLE policy_previews (
    preview_id uuid PRIMARY KEY,
    parameters jsonb NOT NULL,
    as_of timestamptz NOT NULL,
    first_bucket_date date NOT NULL,
    n_effects integer NOT NULL,
    needed_units_before double precision NOT NULL,
    needed_units_after double precision NOT NULL,
    wall_seconds double precision NOT NULL,
    code_version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE policy_effects (
    preview_id uuid NOT NULL REFERENCES policy_previews ON DELETE CASCADE,
    product_code text COLLATE "C" NOT NULL,
    region_code text COLLATE "C" NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    needed_units_before double precision NOT NULL,
    needed_units_after double precision NOT NULL,
    PRIMARY KEY (preview_id, product_code, region_code)
);

-- migrate:down
