CREATE TABLE email.letters (
    id uuid PRIMARY KEY,
    template text NOT NULL,
    category text,
    lane text NOT NULL CHECK (lane IN ('security', 'personal', 'bulk')),
    locale text NOT NULL,
    user_id uuid,
    org_id uuid,
    sender_domain text NOT NULL,
    domain text NOT NULL,
    address_hash bytea NOT NULL,
    sealed bytea,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN (
        'queued', 'sending', 'deferred', 'sent', 'delivered', 'bounced', 'complained', 'cancelled', 'suppressed', 'expired',
        'refused')),
    reason text,
    attempts int NOT NULL DEFAULT 0,
    soft boolean NOT NULL DEFAULT false,
    lease uuid,
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    expires_at timestamptz,
    ended_at timestamptz
);
COMMENT ON TABLE email.letters IS 'person: letters and how they ended; address and words are sealed, and gone 7 days after the end';
COMMENT ON COLUMN email.letters.address_hash IS 'keyed hash of the address as it is compared';
COMMENT ON COLUMN email.letters.soft IS 'it bounced though the address may exist';
CREATE INDEX letters_waiting ON email.letters (lane, sender_domain, domain, due_at)
    WHERE state IN ('queued', 'deferred', 'sending');
CREATE INDEX letters_of_organization ON email.letters (org_id, id);
CREATE INDEX letters_of_person ON email.letters (user_id, id);
CREATE INDEX letters_of_address ON email.letters (address_hash, ended_at);
CREATE INDEX letters_with_content ON email.letters (ended_at) WHERE sealed IS NOT NULL;
CREATE INDEX letters_ended ON email.letters (ended_at);

CREATE TABLE email.attempts (
    letter_id uuid NOT NULL REFERENCES email.letters ON DELETE CASCADE,
    number int NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('sent', 'deferred', 'bounced', 'refused')),
    code int,
    status text,
    reply text NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (letter_id, number)
);
COMMENT ON TABLE email.attempts IS 'platform: what mail servers answered to each try of a letter, without the address';

-- One at once per key: whoever holds the lease hands over what waits for a receiving domain.
CREATE TABLE email.destinations (
    lane text NOT NULL CHECK (lane IN ('security', 'personal', 'bulk')),
    sender_domain text NOT NULL,
    domain text NOT NULL,
    pace int NOT NULL DEFAULT 10,
    lease uuid,
    due_at timestamptz,
    PRIMARY KEY (lane, sender_domain, domain)
) WITH (fillfactor = 70);
COMMENT ON TABLE email.destinations IS 'platform: how many letters a receiving domain takes at once, and when the next are due; the lease ends then';
CREATE INDEX destinations_due ON email.destinations (lane, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX destinations_held ON email.destinations (lease) WHERE lease IS NOT NULL;

CREATE TABLE email.suppressions (
    id uuid PRIMARY KEY,
    address_hash bytea NOT NULL,
    reason text NOT NULL CHECK (reason IN ('bounced', 'complained', 'unsubscribed')),
    category text,
    org_id uuid,
    letter_id uuid,
    status text,
    created_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (address_hash, reason, org_id, category)
);
COMMENT ON TABLE email.suppressions IS 'platform: addresses by keyed hash that get no letters; with a category: none of that category of an organization';
CREATE INDEX suppressions_of_organization ON email.suppressions (org_id, id);
