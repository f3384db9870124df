-- One row for each decision that bans a person here. What is known of it only grows: that it bans, and that it was reversed.
CREATE TABLE organization.bans (
    decision_id  uuid PRIMARY KEY,
    org_id       uuid NOT NULL,
    user_id      uuid NOT NULL,
    banned       boolean NOT NULL DEFAULT false,
    reversed     boolean NOT NULL DEFAULT false,
    until_at     timestamptz,
    suspends     boolean NOT NULL DEFAULT false,
    refused      boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL
);
COMMENT ON TABLE organization.bans IS 'org: decisions of moderators that ban somebody';
COMMENT ON COLUMN organization.bans.banned IS 'the decision was heard of; its reversal may be heard of first';
COMMENT ON COLUMN organization.bans.suspends IS 'the membership was suspended by it, and is reactivated after it';
COMMENT ON COLUMN organization.bans.refused IS 'the person is the last owner: it waits for another owner';
CREATE INDEX bans_of_person ON organization.bans (user_id, org_id);
CREATE INDEX bans_refused ON organization.bans (org_id) WHERE refused;
