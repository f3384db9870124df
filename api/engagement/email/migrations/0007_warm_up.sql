ALTER TABLE email.letters VALIDATE CONSTRAINT letters_state_check;

CREATE TABLE email.warm_ups (
    sender_id uuid PRIMARY KEY REFERENCES email.senders ON DELETE CASCADE,
    steps int[] NOT NULL,
    started_on date NOT NULL,
    time_zone text NOT NULL,
    counted_on date,
    letters int NOT NULL DEFAULT 0
);
COMMENT ON TABLE email.warm_ups IS 'org: how many new letters a sender sends on each day of a plan, and how many they are on the day counted_on';

ALTER TABLE email.letters ADD COLUMN counted_on date;
COMMENT ON COLUMN email.letters.counted_on IS 'the day of a warm-up plan on which it was counted, for one try after the other';
