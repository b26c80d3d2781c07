-- The first accepted answer to a request that came under an idempotency key. `command_id` is derived from principal and
-- key; `fingerprint` tells a repeat from another request under the same key.
CREATE TABLE receipt (
    command_id  uuid        PRIMARY KEY,
    fingerprint bytea       NOT NULL CHECK (length(fingerprint) = 32),
    answer      json        NOT NULL,
    at          timestamptz NOT NULL
);
