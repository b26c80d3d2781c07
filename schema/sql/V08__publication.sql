-- What leaves through the write-ahead log: new events, and nothing else.
CREATE PUBLICATION headwater FOR TABLE event WITH (publish = 'insert');
