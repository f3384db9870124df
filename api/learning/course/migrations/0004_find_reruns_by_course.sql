CREATE INDEX reruns_of_course ON course.reruns (course_id) WHERE state IN ('copying', 'creating');
