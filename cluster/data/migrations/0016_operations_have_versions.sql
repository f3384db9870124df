-- Live followers know by it what they have; every change counts.
ALTER TABLE hub.operations ADD COLUMN version bigint NOT NULL DEFAULT 1;
