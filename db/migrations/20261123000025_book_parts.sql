-- migrate:up

-- Which parts a plan's ledger, and the terms that it was netted by, are made of: its own, and those of earlier plans that say
-- the same of their products.
CREATE TABLE plan_book_parts (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    book text NOT NULL CHECK (book IN ('ledger', 'terms')),
    first_row integer NOT NULL,
    last_row integer NOT NULL,
    first_product_code text COLLATE "C" NOT NULL,
    last_product_code text COLLATE "C" NOT NULL,
    of_plan_id uuid NOT NULL REFERENCES plans,
    of_first_row integer NOT NULL,
    PRIMARY KEY (plan_id, book, first_row)
);

INSERT INTO plan_book_parts
SELECT plan_id, 'ledger', first_line, last_line, first_product_code, last_product_code, plan_id, first_line
FROM plan_ledger;

INSERT INTO plan_book_parts
SELECT plan_id, 'terms', first_pair, first_pair + cardinality(product_codes) - 1, first_product_code, last_product_code,
    plan_id, first_pair
FROM plan_pull_terms;

-- squawk-ignore ban-drop-column -- where parts lie is said in the new table
ALTER TABLE plan_ledger DROP COLUMN last_line, DROP COLUMN first_product_code, DROP COLUMN last_product_code;
-- squawk-ignore ban-drop-column -- the same
ALTER TABLE plan_pull_terms DROP COLUMN first_product_code, DROP COLUMN last_product_code;

-- migrate:down
