CREATE TABLE enrollment.members (
    org_id   uuid NOT NULL,
    user_id  uuid NOT NULL,
    shut_out boolean NOT NULL,
    version  bigint NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
COMMENT ON TABLE enrollment.members IS 'person: who was suspended or removed by an organization, as organization tells';

CREATE TABLE enrollment.organizations (
    org_id    uuid PRIMARY KEY,
    suspended boolean NOT NULL,
    version   bigint NOT NULL
);
COMMENT ON TABLE enrollment.organizations IS 'org: whether an organization is suspended, as organization tells';
