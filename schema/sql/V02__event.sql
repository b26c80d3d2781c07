-- Every configuration change, once and for ever. `data` is json and not jsonb: it keeps its text byte for byte, which
-- the leaf seals.
CREATE TABLE event (
    position   bigint      PRIMARY KEY CHECK (position > 0),
    event_id   uuid        NOT NULL UNIQUE,
    command_id uuid        NOT NULL,
    ordinal    integer     NOT NULL CHECK (ordinal BETWEEN 1 AND count),
    count      integer     NOT NULL,
    entity     text        NOT NULL,
    version    bigint      NOT NULL CHECK (version > 0),
    type       text        NOT NULL,
    v          smallint    NOT NULL CHECK (v > 0),
    actor      text        NOT NULL,
    reason     text,
    at         timestamptz NOT NULL,
    data       json        NOT NULL,
    leaf       bytea       NOT NULL CHECK (length(leaf) = 32),
    UNIQUE (entity, version),
    UNIQUE (command_id, ordinal)
);

CREATE INDEX event_by_type ON event (type, position);
