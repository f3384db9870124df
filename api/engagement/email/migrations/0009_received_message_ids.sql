ALTER TABLE email.received ADD COLUMN message_key bytea;
COMMENT ON COLUMN email.received.message_key IS 'SHA-256 of the letter and the Message-ID: the same answer by another way changes nothing';
CREATE UNIQUE INDEX received_once ON email.received (message_key) WHERE state = 'accepted';
