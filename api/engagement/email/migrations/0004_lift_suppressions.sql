ALTER TABLE email.suppressions ADD COLUMN caused_in uuid;
COMMENT ON COLUMN email.suppressions.caused_in IS 'the organization whose letter brought it about; its administrators may lift what holds everywhere';
ALTER TABLE email.suppressions DROP CONSTRAINT suppressions_reason_check;
ALTER TABLE email.suppressions ADD CONSTRAINT suppressions_reason_check
    CHECK (reason IN ('bounced', 'complained', 'unsubscribed', 'manual'));
DROP INDEX email.suppressions_of_organization;
CREATE INDEX suppressions_of_organization ON email.suppressions ((coalesce(org_id, caused_in)), id);
