-- The same for both databases.

-- What a router says of itself beyond the heartbeat: JSON, read by routers and agents.
ALTER TABLE routers ADD COLUMN facts TEXT NOT NULL DEFAULT '{}';
-- Which process of this name it is, and the incarnation in which the store heard of it first.
ALTER TABLE routers ADD COLUMN process TEXT NOT NULL DEFAULT '';
ALTER TABLE routers ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
-- Grows with each heartbeat of a process.
ALTER TABLE routers ADD COLUMN beat BIGINT NOT NULL DEFAULT 0;
