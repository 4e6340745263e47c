-- migrate:up

-- squawk-ignore ban-drop-constraint -- a wider one takes its place in the same transaction
ALTER TABLE runs DROP CONSTRAINT runs_kind_is_known;
ALTER TABLE runs ADD CONSTRAINT runs_kind_is_known
CHECK (kind IN ('forecast', 'plan', 'verification', 'confirmation', 'remedy', 'policy_preview', 'import')) NOT VALID;
ALTER TABLE runs VALIDATE CONSTRAINT runs_kind_is_known;

-- A received file on its way to the worker that stores it, until its run has ended. Piece 0 is its index; the others are its lines.
-- Written once, read once or twice: compressing them would take longer than that.
CREATE TABLE import_pieces (
    run_id uuid NOT NULL REFERENCES runs,
    ordinal integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (run_id, ordinal)
);
ALTER TABLE import_pieces ALTER COLUMN content SET STORAGE EXTERNAL;

-- What became of a file's lines.
CREATE TABLE imports (
    import_id uuid PRIMARY KEY REFERENCES runs,
    stored bigint NOT NULL,
    known bigint NOT NULL,
    refused bigint NOT NULL,
    retired bigint NOT NULL,
    errors jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- migrate:down
