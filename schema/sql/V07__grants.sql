-- The application appends. It can neither update, delete nor truncate events or blobs.
GRANT SELECT, UPDATE (position, at) ON log_head TO headwater_app;
GRANT SELECT, INSERT ON event, blob, receipt TO headwater_app;

-- The relay holds the slot; what it publishes it reads as the application.
GRANT SELECT ON event TO headwater_relay;

-- The reader looks.
GRANT SELECT ON log_head, event, blob TO headwater_reader;
