CREATE TABLE "user".users (
    id uuid PRIMARY KEY,
    email text,
    email_verified boolean NOT NULL DEFAULT false,
    name text,
    locale text NOT NULL DEFAULT 'en',
    time_zone text NOT NULL DEFAULT 'UTC',
    pronouns text,
    accessibility jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL CHECK (state IN ('active', 'abandoned')),
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (state <> 'active' OR name IS NOT NULL)
);
COMMENT ON TABLE "user".users IS 'person: profiles';
COMMENT ON COLUMN "user".users.email IS 'a copy of what auth holds, for showing';
COMMENT ON COLUMN "user".users.state IS 'abandoned: a sign-up that broke off and was taken over; its id can no longer become a profile';
