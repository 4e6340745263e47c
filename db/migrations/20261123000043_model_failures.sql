-- migrate:up

-- Which models said nothing of a product as a whole, and why.
ALTER TABLE forecast_totals ADD COLUMN model_failures jsonb NOT NULL DEFAULT '{}';

-- migrate:down
