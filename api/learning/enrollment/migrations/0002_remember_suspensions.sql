ALTER TABLE enrollment.enrollments ADD COLUMN suspended_at timestamptz;
COMMENT ON COLUMN enrollment.enrollments.suspended_at IS 'stays while somebody leaves: who comes back is suspended still, until staff resume them';
UPDATE enrollment.enrollments SET suspended_at = updated_at WHERE state = 'suspended';
