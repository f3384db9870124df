-- Letters of a kind are counted per person and hour, so that nobody fills somebody's mailbox.
ALTER TABLE auth.mails ADD COLUMN purpose text NOT NULL DEFAULT 'verify' CHECK (purpose IN ('verify', 'reset'));
