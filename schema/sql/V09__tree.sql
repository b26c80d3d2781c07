-- The Merkle tree over the leaves of all events: the roots of its complete subtrees of 2^8, 2^16, … events, stored in the
-- transaction of the event that completes them. Every other node follows from at most 128 of these, or from at most 128
-- leaves. `index` counts the subtrees of one height from 0.
CREATE TABLE tree (
    level smallint NOT NULL CHECK (level > 0 AND level % 8 = 0),
    index bigint   NOT NULL CHECK (index >= 0),
    hash  bytea    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, index)
);

CREATE TRIGGER tree_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON tree
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON tree TO headwater_app;
GRANT SELECT ON tree TO headwater_reader;

-- The root of the whole tree at the head. An empty tree's is SHA-256 of nothing; a log that is older than this column is
-- brought level by `headwater install`.
ALTER TABLE log_head ADD COLUMN root bytea NOT NULL DEFAULT sha256('') CHECK (length(root) = 32);

GRANT UPDATE (root) ON log_head TO headwater_app;
