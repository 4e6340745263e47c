-- migrate:up

-- Whom tokens of an identity provider speak for stands beside the keys: audited, limited and retired as they are. Such a row
-- has no text that could be sent; what its scopes are each token says.
ALTER TABLE api_keys ADD COLUMN issuer text;
ALTER TABLE api_keys ADD COLUMN subject text;

-- migrate:down
