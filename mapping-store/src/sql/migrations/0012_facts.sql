-- The same for both databases.

-- What a router says of itself beyond the heartbeat: JSON, read by routers and agents. What is here already has never
-- attested to anything.
ALTER TABLE routers ADD COLUMN facts TEXT NOT NULL DEFAULT '{"silent":true}';
-- Whose journal it is: of two processes with one journal the earlier one has ended, or hands over.
ALTER TABLE routers ADD COLUMN journal TEXT NOT NULL DEFAULT '';
-- Which process of this name it is, and the incarnation in which the store heard of it first.
ALTER TABLE routers ADD COLUMN process TEXT NOT NULL DEFAULT '';
ALTER TABLE routers ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
-- Grows with each heartbeat of a process.
ALTER TABLE routers ADD COLUMN beat BIGINT NOT NULL DEFAULT 0;

-- Routers whose name another journal has taken, and of which nobody knows whether they have ended: as they were last.
CREATE TABLE displaced_routers (
    name TEXT NOT NULL,
    registry_acknowledged BIGINT NOT NULL,
    applied BIGINT NOT NULL,
    address TEXT NOT NULL,
    version TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    facts TEXT NOT NULL,
    journal TEXT NOT NULL,
    process TEXT NOT NULL,
    since BIGINT NOT NULL,
    beat BIGINT NOT NULL,
    PRIMARY KEY (name, journal)
);
