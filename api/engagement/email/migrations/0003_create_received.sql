ALTER TABLE email.letters ADD COLUMN reply_route text, ADD COLUMN reply_subject uuid, ADD COLUMN reply_until timestamptz;
COMMENT ON COLUMN email.letters.reply_route IS 'who hears an answer to it by mail, about reply_subject, until reply_until';

CREATE TABLE email.received (
    id uuid PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    letter_id uuid NOT NULL,
    route text NOT NULL,
    subject_id uuid NOT NULL,
    user_id uuid NOT NULL,
    org_id uuid,
    state text NOT NULL CHECK (state IN ('accepted', 'held')),
    reason text,
    sealed bytea,
    received_at timestamptz NOT NULL
);
COMMENT ON TABLE email.received IS 'person: answers by mail; the words are sealed, and gone after 7 days';
COMMENT ON COLUMN email.received.digest IS 'SHA-256 of the message: the same one again changes nothing';
CREATE INDEX received_of_person ON email.received (user_id, id);
CREATE INDEX received_with_words ON email.received (received_at) WHERE sealed IS NOT NULL;
CREATE INDEX received_at ON email.received (received_at);
