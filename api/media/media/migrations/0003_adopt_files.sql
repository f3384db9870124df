-- A file that a service made is one part, of any size.
ALTER TABLE media.parts ALTER COLUMN size_bytes TYPE bigint;
