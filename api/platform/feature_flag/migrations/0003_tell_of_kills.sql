-- Who answers for a flag, beside the team that `owner` names.
ALTER TABLE feature_flag.flags ADD COLUMN owner_id uuid;
CREATE INDEX flags_of_person ON feature_flag.flags (owner_id) WHERE owner_id IS NOT NULL;

CREATE TABLE feature_flag.platform_staff (
    user_id  uuid PRIMARY KEY
);
COMMENT ON TABLE feature_flag.platform_staff IS 'person: who was given a role on the platform, or changed a flag of it';

CREATE TABLE feature_flag.kill_reports (
    report_id    uuid NOT NULL,
    user_id      uuid NOT NULL,
    flag_id      uuid NOT NULL REFERENCES feature_flag.flags (id),
    version      bigint NOT NULL,
    org_id       uuid,
    reported_at  timestamptz NOT NULL,
    PRIMARY KEY (report_id, user_id)
);
COMMENT ON TABLE feature_flag.kill_reports IS 'person: who is told that a flag was killed';
CREATE INDEX kill_reports_of_person ON feature_flag.kill_reports (user_id);
CREATE INDEX kill_reports_by_age ON feature_flag.kill_reports (reported_at);
