-- The token of an invitation waits here, sealed, until its letter is handed to email.
ALTER TABLE organization.invitations ADD COLUMN sealed bytea;
