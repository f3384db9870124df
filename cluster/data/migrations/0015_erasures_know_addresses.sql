ALTER TABLE hub.erasures ADD COLUMN addresses text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN hub.erasures.addresses IS 'verified addresses of the person, to find what names them by address alone; emptied when the erasure is done';
ALTER TABLE hub.erased_rows ADD COLUMN files bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN hub.erased_rows.files IS 'files of the person whose objects were deleted';

-- Ids and addresses are given in lower case. It reads whole rows: for erasures, which may.
CREATE FUNCTION hub.names(row_text text, wanted text[]) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT EXISTS (SELECT FROM unnest(wanted) AS each WHERE strpos(lower(row_text), each) > 0)
$$;
