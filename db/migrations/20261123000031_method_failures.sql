-- migrate:up

-- Why a way of making a product's regions agree with it was tried and has no score.
ALTER TABLE forecast_totals ADD COLUMN method_failures jsonb NOT NULL DEFAULT '{}';

-- migrate:down
