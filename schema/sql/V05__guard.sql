-- Privileges already keep the application's role from changing history. This also stops an owner's slip of the hand:
-- whoever really means it must disable a trigger first, and the leaves show it afterwards.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER blob_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON blob
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
