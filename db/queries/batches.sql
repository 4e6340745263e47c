-- name: take_time
-- A night's load may take longer than any other statement.
SET LOCAL statement_timeout = '15min';

-- name: create_refused
-- ordinal: the staged line's; first_ordinal: of the line that it repeats.
CREATE TEMP TABLE IF NOT EXISTS refused (
    ordinal bigint NOT NULL,
    code text NOT NULL,
    field text NOT NULL,
    given text COLLATE "C" NOT NULL,
    first_ordinal bigint
) ON COMMIT DROP;

-- name: forget_refused
DELETE FROM refused;

-- name: count_refused
SELECT count(DISTINCT ordinal) FROM refused;

-- name: list_refused
SELECT ordinal, code, field, given, first_ordinal
FROM refused
ORDER BY ordinal, field, given
LIMIT $1;
