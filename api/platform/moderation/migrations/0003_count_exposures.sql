CREATE TABLE moderation.exposures (
    user_id  uuid NOT NULL,
    day      date NOT NULL,
    case_id  uuid NOT NULL,
    part     text NOT NULL CHECK (part IN ('case', 'second_review')),
    org_id   uuid,
    points   smallint NOT NULL,
    seen_at  timestamptz NOT NULL,
    PRIMARY KEY (user_id, day, case_id, part)
);
COMMENT ON TABLE moderation.exposures IS 'person: what who judges was shown in a day that may harm them';
COMMENT ON COLUMN moderation.exposures.day IS 'in UTC';
CREATE INDEX exposures_by_day ON moderation.exposures (day);
