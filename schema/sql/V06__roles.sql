-- Three roles, each with what it needs and no more. Roles belong to the whole cluster, so another database's install may
-- have made them already, or be making them at this moment. They can't log in until `headwater install` or an
-- administrator gives them a way to.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['headwater_app', 'headwater_relay', 'headwater_reader'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I', wanted);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;
