-- migrate:up

-- What each product x region's demand was netted against when a plan was made; some hundred in a row, as arrays, of which those
-- by bucket stand one pair behind the other.
CREATE TABLE plan_pull_terms (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    first_pair integer NOT NULL,
    first_product_code text COLLATE "C" NOT NULL,
    last_product_code text COLLATE "C" NOT NULL,
    product_codes text [] COLLATE "C" NOT NULL,
    region_codes text [] COLLATE "C" NOT NULL,
    policy_numbers integer [] NOT NULL,
    history_bases text [] NOT NULL,
    lead_days integer [] NOT NULL,
    on_hand_units double precision [] NOT NULL,
    receipts_units double precision [] NOT NULL,
    target_units double precision [] NOT NULL,
    PRIMARY KEY (plan_id, first_pair)
);

-- migrate:down
