-- Whose right it is that an announcement is sent by, and why one was stopped that nobody stopped.
ALTER TABLE notification.announcements
    ADD COLUMN sent_by uuid,
    ADD COLUMN stop_reason text CHECK (stop_reason IN ('right_ended'));
COMMENT ON COLUMN notification.announcements.sent_by IS 'who last asked to send it; null: its author';
CREATE INDEX announcements_of_sender ON notification.announcements (sent_by) WHERE sent_by IS NOT NULL;
