CREATE TABLE email.organizations (
    org_id uuid PRIMARY KEY,
    suspended boolean NOT NULL,
    version bigint NOT NULL
);
COMMENT ON TABLE email.organizations IS 'org: whether an organization is suspended, as organization tells';

CREATE TABLE email.held_letters (
    letter_id uuid PRIMARY KEY REFERENCES email.letters ON DELETE CASCADE,
    org_id uuid NOT NULL,
    expires_at timestamptz
);
COMMENT ON TABLE email.held_letters IS 'org: letters to many that wait because their organization is suspended';
CREATE INDEX held_letters_of_organization ON email.held_letters (org_id, letter_id);
CREATE INDEX held_letters_expiring ON email.held_letters (expires_at) WHERE expires_at IS NOT NULL;

ALTER TABLE email.letters ADD COLUMN tried_since timestamptz;
COMMENT ON COLUMN email.letters.tried_since IS 'from when its 48 hours count, if not from created_at: it had to wait before';
-- Not validated here: that reads the whole table, under a lock that stops those who write. Every row satisfied the narrower one.
ALTER TABLE email.letters DROP CONSTRAINT letters_state_check;
ALTER TABLE email.letters ADD CONSTRAINT letters_state_check CHECK (state IN (
    'queued', 'sending', 'deferred', 'held', 'sent', 'delivered', 'bounced', 'complained', 'cancelled', 'suppressed',
    'expired', 'refused')) NOT VALID;
