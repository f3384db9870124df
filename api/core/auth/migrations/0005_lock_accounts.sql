-- One row for each decision that bans a person on the platform. What is known of it only grows: that it bans, and that it was reversed.
CREATE TABLE auth.locks (
    decision_id  uuid PRIMARY KEY,
    user_id      uuid NOT NULL,
    banned       boolean NOT NULL DEFAULT false,
    reversed     boolean NOT NULL DEFAULT false,
    until_at     timestamptz,
    created_at   timestamptz NOT NULL
);
COMMENT ON TABLE auth.locks IS 'person: decisions of moderators that lock an account';
COMMENT ON COLUMN auth.locks.banned IS 'the decision was heard of; its reversal may be heard of first';
CREATE INDEX locks_of_person ON auth.locks (user_id);
