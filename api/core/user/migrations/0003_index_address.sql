-- In place of the partial one: without its statistics the planner takes one address for hundreds and walks over everybody.
CREATE INDEX users_address ON "user".users (lower(email));
DROP INDEX "user".users_email;
