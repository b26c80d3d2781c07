-- What a batch that is sent without a look at the head expects there, beside position and root. Whoever looks for a batch with an
-- unknown outcome behind the lock, and does not find it, changes the turn: so the batch comes to nothing when it arrives late.
ALTER TABLE log_head ADD COLUMN turn bigint NOT NULL DEFAULT 0;

GRANT UPDATE (turn) ON log_head TO headwater_app;
