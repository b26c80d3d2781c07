-- What a batch expects of the head, beside position and root. Whoever looks behind the lock for a batch with an unknown outcome, and
-- does not find it, changes the turn: so a batch that was sent without the lock comes to nothing when it arrives late.
ALTER TABLE log_head ADD COLUMN turn bigint NOT NULL DEFAULT 0;

GRANT UPDATE (turn) ON log_head TO headwater_app;
