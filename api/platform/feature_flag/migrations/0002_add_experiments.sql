CREATE TABLE feature_flag.experiments (
    id           uuid PRIMARY KEY,
    org_id       uuid,
    flag_id      uuid NOT NULL REFERENCES feature_flag.flags (id),
    title        text NOT NULL,
    unit         text NOT NULL CHECK (unit IN ('person', 'run', 'organization')),
    layer        text NOT NULL,
    first_share  int NOT NULL,
    last_share   int NOT NULL CHECK (last_share > first_share),
    arms         jsonb NOT NULL,
    metrics      text[] NOT NULL,
    guardrails   text[] NOT NULL,
    state        text NOT NULL CHECK (state IN ('draft', 'running', 'stopped', 'decided')),
    decision     text,
    started_at   timestamptz,
    stopped_at   timestamptz,
    version      bigint NOT NULL DEFAULT 1,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL
);
COMMENT ON TABLE feature_flag.experiments IS 'org: experiments of the platform (without an organization) and of organizations';
CREATE INDEX experiments_of_organization ON feature_flag.experiments (org_id, id DESC);
CREATE INDEX experiments_that_run ON feature_flag.experiments (id) WHERE state = 'running';
CREATE INDEX experiments_decided ON feature_flag.experiments (updated_at) WHERE state = 'decided';

CREATE TABLE feature_flag.exposures (
    experiment_id  uuid NOT NULL REFERENCES feature_flag.experiments (id),
    unit_id        uuid NOT NULL,
    user_id        uuid,
    org_id         uuid,
    variant        text NOT NULL,
    exposed_at     timestamptz NOT NULL,
    PRIMARY KEY (experiment_id, unit_id)
);
COMMENT ON TABLE feature_flag.exposures IS 'person: which variant a unit of an experiment was given first';
CREATE INDEX exposures_of_person ON feature_flag.exposures (user_id) WHERE user_id IS NOT NULL;

CREATE TABLE feature_flag.measurements (
    experiment_id  uuid NOT NULL REFERENCES feature_flag.experiments (id),
    metric         text NOT NULL,
    event_id       uuid NOT NULL,
    part           text NOT NULL CHECK (part IN ('value', 'over')),
    unit_id        uuid NOT NULL,
    user_id        uuid,
    org_id         uuid,
    value          double precision NOT NULL,
    measured_at    timestamptz NOT NULL,
    PRIMARY KEY (experiment_id, metric, unit_id, part, event_id)
);
COMMENT ON TABLE feature_flag.measurements IS 'person: what was counted of units of experiments that run';
CREATE INDEX measurements_of_person ON feature_flag.measurements (user_id) WHERE user_id IS NOT NULL;
