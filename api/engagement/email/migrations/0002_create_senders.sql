CREATE TABLE email.senders (
    id uuid PRIMARY KEY,
    org_id uuid,
    domain text NOT NULL,
    mail_from text NOT NULL,
    name text NOT NULL,
    state text NOT NULL DEFAULT 'unverified' CHECK (state IN ('unverified', 'verified', 'failing')),
    records jsonb NOT NULL DEFAULT '[]',
    generation int NOT NULL DEFAULT 1,
    checked_at timestamptz,
    check_at timestamptz NOT NULL,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (org_id)
);
COMMENT ON TABLE email.senders IS 'org: in whose name letters of an organization go, and whether its DNS allows it; without an organization: the platform';
COMMENT ON COLUMN email.senders.generation IS 'the signing keys in use';
CREATE INDEX senders_to_check ON email.senders (check_at);
CREATE INDEX senders_signing ON email.senders (domain) WHERE state = 'verified';

CREATE TABLE email.signing_keys (
    sender_id uuid NOT NULL REFERENCES email.senders ON DELETE CASCADE,
    generation int NOT NULL,
    selector text NOT NULL,
    rsa bytea NOT NULL,
    rsa_public text NOT NULL,
    ed25519 bytea NOT NULL,
    ed25519_public text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (sender_id, generation)
);
COMMENT ON TABLE email.signing_keys IS 'platform: keys that sign letters (DKIM), sealed; the newest replace the others once DNS has them';
