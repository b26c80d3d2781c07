-- Content by its SHA-256, inserted in the transaction of the event that names it. Equal content is stored once.
-- It is not in the publication: the relay reads it by digest.
CREATE TABLE blob (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    bytes  bytea NOT NULL
);

-- Content is mostly text that pglz would compress on the way in; reads of part of it are not needed.
ALTER TABLE blob ALTER COLUMN bytes SET STORAGE EXTENDED;
