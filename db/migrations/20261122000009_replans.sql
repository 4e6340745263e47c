-- migrate:up

-- A re-plan is stored as what differs from its base: the last plan of its ancestry that is stored in full.
ALTER TABLE plans ADD COLUMN parent_plan_id uuid;
ALTER TABLE plans ADD COLUMN base_plan_id uuid;
ALTER TABLE plans ADD COLUMN stability jsonb;
-- Without ON DELETE: a plan stays as long as others are made from it, or stored upon it.
ALTER TABLE plans ADD CONSTRAINT plans_parent_stays FOREIGN KEY (parent_plan_id) REFERENCES plans NOT VALID;
ALTER TABLE plans VALIDATE CONSTRAINT plans_parent_stays;
ALTER TABLE plans ADD CONSTRAINT plans_base_stays FOREIGN KEY (base_plan_id) REFERENCES plans NOT VALID;
ALTER TABLE plans VALIDATE CONSTRAINT plans_base_stays;
CREATE INDEX plans_by_parent ON plans (parent_plan_id);
CREATE INDEX plans_by_base ON plans (base_plan_id);

-- Whose prices a line's reason speaks of, where they are not those of the plan that the row belongs to.
ALTER TABLE plan_assignments ADD COLUMN told_in_plan_id uuid;

-- Rows of the base that are not, or not so, in the re-plan.
CREATE TABLE plan_removed_rows (
    plan_id uuid NOT NULL REFERENCES plans ON DELETE CASCADE,
    kind text NOT NULL,
    number integer NOT NULL,
    PRIMARY KEY (plan_id, kind, number),
    CONSTRAINT plan_removed_rows_kind_is_known CHECK (kind IN ('need', 'assignment', 'shortfall'))
);

-- A plan's rows wherever they are stored: its own, and its base's but for those removed. Inlined into every query;
-- as both parts are in order, a page of the whole is a merge of two index scans that stop early.
CREATE FUNCTION plan_needs_of(whole uuid) RETURNS SETOF plan_needs LANGUAGE sql STABLE AS $$
    (SELECT own.* FROM plan_needs AS own WHERE own.plan_id = whole ORDER BY own.need_id)
    UNION ALL
    (SELECT base.* FROM plan_needs AS base
    WHERE base.plan_id = (SELECT p.base_plan_id FROM plans AS p WHERE p.plan_id = whole)
        AND NOT EXISTS (
            SELECT FROM plan_removed_rows AS gone
            WHERE gone.plan_id = whole AND gone.kind = 'need' AND gone.number = base.need_id
        )
    ORDER BY base.need_id)
$$;

CREATE FUNCTION plan_assignments_of(whole uuid) RETURNS SETOF plan_assignments LANGUAGE sql STABLE AS $$
    (SELECT own.* FROM plan_assignments AS own WHERE own.plan_id = whole ORDER BY own.assignment_id)
    UNION ALL
    (SELECT base.* FROM plan_assignments AS base
    WHERE base.plan_id = (SELECT p.base_plan_id FROM plans AS p WHERE p.plan_id = whole)
        AND NOT EXISTS (
            SELECT FROM plan_removed_rows AS gone
            WHERE gone.plan_id = whole AND gone.kind = 'assignment' AND gone.number = base.assignment_id
        )
    ORDER BY base.assignment_id)
$$;

CREATE FUNCTION plan_shortfalls_of(whole uuid) RETURNS SETOF plan_shortfalls LANGUAGE sql STABLE AS $$
    (SELECT own.* FROM plan_shortfalls AS own WHERE own.plan_id = whole ORDER BY own.shortfall_id)
    UNION ALL
    (SELECT base.* FROM plan_shortfalls AS base
    WHERE base.plan_id = (SELECT p.base_plan_id FROM plans AS p WHERE p.plan_id = whole)
        AND NOT EXISTS (
            SELECT FROM plan_removed_rows AS gone
            WHERE gone.plan_id = whole AND gone.kind = 'shortfall' AND gone.number = base.shortfall_id
        )
    ORDER BY base.shortfall_id)
$$;

-- migrate:down
