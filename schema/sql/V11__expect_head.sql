-- Takes the lock of the head row if the head is where a batch was decided from, and fails if it is not. So such a batch can be sent
-- in one trip, without waiting to be told where the head is: the statements after this one, and the COMMIT, come to nothing.
CREATE FUNCTION expect_head(wanted_log uuid, wanted_position bigint, wanted_root bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM log_head
        WHERE log_id = wanted_log AND position = wanted_position AND root = wanted_root
        FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the head of the log is not where it is expected' USING ERRCODE = 'serialization_failure';
    END IF;
END
$$;
