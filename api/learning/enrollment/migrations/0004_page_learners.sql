-- Notices go to the learners of a run or a course, in the order of their ids.
CREATE INDEX enrollments_by_run_and_person ON enrollment.enrollments (run_id, user_id);
CREATE INDEX enrollments_by_course_and_person ON enrollment.enrollments (course_id, user_id);
