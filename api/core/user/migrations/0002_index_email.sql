-- For administrators who look somebody up. Not unique: auth decides whose an address is, this is a copy.
CREATE INDEX users_email ON "user".users (lower(email)) WHERE email IS NOT NULL;
