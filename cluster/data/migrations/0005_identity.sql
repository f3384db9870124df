CREATE TABLE hub.verification_keys (
    kid text PRIMARY KEY,
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL
);
COMMENT ON TABLE hub.verification_keys IS 'platform: Ed25519 public keys that access tokens are verified with';

-- A session is revoked by its id; a user by the time before which tokens were issued.
CREATE TABLE hub.revocations (
    kind text NOT NULL CHECK (kind IN ('session', 'user')),
    subject_id uuid NOT NULL,
    revoked_before timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (kind, subject_id)
);
COMMENT ON TABLE hub.revocations IS 'platform: sessions and people whose access tokens count no more, until the last such token has expired';
CREATE INDEX revocations_expires_at ON hub.revocations (expires_at);
