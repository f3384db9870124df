CREATE TABLE "user".members (
    member_id  uuid PRIMARY KEY,
    org_id     uuid NOT NULL,
    user_id    uuid NOT NULL,
    active     boolean NOT NULL,
    version    bigint NOT NULL
);
COMMENT ON TABLE "user".members IS 'person: memberships, as organization told last';
COMMENT ON COLUMN "user".members.version IS 'of the newest member.updated heard';
CREATE INDEX members_of_user ON "user".members (user_id);
