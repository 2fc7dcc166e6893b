-- The same for both databases.

-- Of one journal several processes may be there at once: one that hands over, and the one that takes over.
CREATE TABLE displaced_processes (
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
    PRIMARY KEY (name, journal, process)
);
INSERT INTO displaced_processes (name, registry_acknowledged, applied, address, version, config_hash, seen_at, expires_at, facts,
    journal, process, since, beat)
    SELECT name, registry_acknowledged, applied, address, version, config_hash, seen_at, expires_at, facts, journal, process, since,
    beat FROM displaced_routers;
DROP TABLE displaced_routers;
ALTER TABLE displaced_processes RENAME TO displaced_routers;

-- What routers see is said anew every few seconds: nothing of it is kept.
DROP TABLE observations;
CREATE TABLE observations (
    router TEXT NOT NULL,
    process TEXT NOT NULL DEFAULT '',
    site BIGINT NOT NULL,
    installation TEXT NOT NULL,
    seen TEXT NOT NULL,
    detail TEXT NOT NULL,
    since BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    stopped_at BIGINT NOT NULL DEFAULT 0,
    running BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (router, process, site)
);
