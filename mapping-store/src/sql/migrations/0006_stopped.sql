-- The same for both databases.

-- Of a site that operators have stopped: the generation of the state that the router obeys, and its requests that still
-- run there. 0: the router has not stopped.
ALTER TABLE observations ADD COLUMN stopped_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE observations ADD COLUMN running BIGINT NOT NULL DEFAULT 0;
