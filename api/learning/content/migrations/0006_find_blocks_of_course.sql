-- An outline that expires deletes its blocks by course, the deleted ones too.
CREATE INDEX blocks_of_course ON content.blocks (course_id);
