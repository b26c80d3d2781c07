-- The head of the log: one row, whose lock orders all appends. Positions are numbered under it, so that they are
-- gapless and equal to commit order; a sequence would number at insert and lose both.
CREATE TABLE log_head (
    only_row   boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    log_id     uuid        NOT NULL,
    position   bigint      NOT NULL DEFAULT 0 CHECK (position >= 0),
    at         timestamptz NOT NULL DEFAULT 'epoch',
    public_key bytea       NOT NULL CHECK (length(public_key) = 32)
);
