ALTER TABLE email.attempts ADD COLUMN carrier text;
COMMENT ON COLUMN email.attempts.carrier IS 'which mail server or service was asked';

CREATE TABLE email.handed_over (
    carrier_id text PRIMARY KEY,
    letter_id uuid NOT NULL REFERENCES email.letters ON DELETE CASCADE
);
COMMENT ON TABLE email.handed_over IS 'platform: by which id a carrier that writes its own Message-ID knows a letter; its notices name it so';
CREATE INDEX handed_over_of_letter ON email.handed_over (letter_id);
