-- One row for each decision that bans a person. What is known of it only grows: that it bans, and that it was reversed.
CREATE TABLE enrollment.bans (
    decision_id  uuid PRIMARY KEY,
    org_id       uuid NOT NULL,
    user_id      uuid NOT NULL,
    banned       boolean NOT NULL DEFAULT false,
    reversed     boolean NOT NULL DEFAULT false,
    until_at     timestamptz
);
COMMENT ON TABLE enrollment.bans IS 'org: decisions of moderators that ban somebody, as moderation tells';
COMMENT ON COLUMN enrollment.bans.banned IS 'the decision was heard of; its reversal may be heard of first';
CREATE INDEX bans_of_person ON enrollment.bans (user_id, org_id);
