-- What was signed about the log, once and for ever: a signed note with the root of the tree at a position. The newest is
-- kept outside PostgreSQL as well, so that a database which was put back or rewritten shows.
CREATE TABLE checkpoint (
    position bigint      PRIMARY KEY CHECK (position > 0),
    at       timestamptz NOT NULL DEFAULT now(),
    note     text        NOT NULL
);

CREATE TRIGGER checkpoint_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON checkpoint TO headwater_app;
GRANT SELECT ON checkpoint TO headwater_reader;
