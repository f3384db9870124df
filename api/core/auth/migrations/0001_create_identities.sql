CREATE TABLE auth.identities (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL,
    email text,
    email_verified_at timestamptz,
    secret_hash text,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    UNIQUE (issuer, subject)
);
COMMENT ON TABLE auth.identities IS 'person: what somebody signs in with';
COMMENT ON COLUMN auth.identities.subject IS 'with the issuer password: the address as it is compared (lower case, domain in ASCII)';
CREATE UNIQUE INDEX identities_of_user ON auth.identities (user_id, issuer) WHERE issuer = 'password';

CREATE TABLE auth.sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    salt bytea NOT NULL,
    generation int NOT NULL DEFAULT 0,
    rotated_at timestamptz NOT NULL,
    transport text NOT NULL CHECK (transport IN ('body', 'cookie')),
    auth_time timestamptz NOT NULL,
    amr text[] NOT NULL,
    user_agent text NOT NULL,
    address text NOT NULL,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text
);
COMMENT ON TABLE auth.sessions IS 'person: where somebody is signed in; refresh tokens follow from salt and generation';
CREATE INDEX sessions_of_user ON auth.sessions (user_id, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_over ON auth.sessions (expires_at);

-- What one guesser may try: rows by hashed account, address, and both.
CREATE TABLE auth.throttles (
    key bytea PRIMARY KEY,
    free_tries int NOT NULL,
    longest_s int NOT NULL,
    failures int NOT NULL,
    blocked_until timestamptz,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 70);
COMMENT ON TABLE auth.throttles IS 'platform: failed sign-ins by keyed hash, forgotten an hour after the last';
CREATE INDEX throttles_updated_at ON auth.throttles (updated_at);

CREATE TABLE auth.mail_tokens (
    token_sha256 bytea PRIMARY KEY,
    user_id uuid NOT NULL,
    purpose text NOT NULL CHECK (purpose IN ('verify', 'reset')),
    email text NOT NULL,
    subject text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
COMMENT ON TABLE auth.mail_tokens IS 'person: links that were mailed; only hashes of their tokens are kept';
CREATE INDEX mail_tokens_of_user ON auth.mail_tokens (user_id);
CREATE INDEX mail_tokens_expires_at ON auth.mail_tokens (expires_at);

CREATE TABLE auth.mails (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE auth.mails IS 'person: letters that wait to be sent, sealed, because their links open accounts';
CREATE INDEX mails_created_at ON auth.mails (created_at);
CREATE INDEX mails_of_user ON auth.mails (user_id);

CREATE TABLE auth.signing_keys (
    kid text PRIMARY KEY,
    sealed bytea NOT NULL,
    public_key bytea NOT NULL,
    signs_from timestamptz NOT NULL,
    signs_until timestamptz NOT NULL,
    withdrawn_at timestamptz,
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE auth.signing_keys IS 'platform: Ed25519 keys of access tokens, private halves sealed';
