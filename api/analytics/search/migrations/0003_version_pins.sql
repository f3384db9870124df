-- Editors say which version they changed. A release that knows no versions makes the first one, and deletes any.
ALTER TABLE search.pins ADD COLUMN version bigint NOT NULL DEFAULT 1;
