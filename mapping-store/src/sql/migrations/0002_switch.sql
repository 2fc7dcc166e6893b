-- The same for both databases.

-- While `pending` names an installation, the generation is already raised and nobody serves the site. `fenced` is the
-- evidence that the installation that served before can change nothing any more; from then on the pending one may hold
-- the site's lease. `operation` is the operation that began the switch.
ALTER TABLE assignments ADD COLUMN pending TEXT;
ALTER TABLE assignments ADD COLUMN fenced TEXT;
ALTER TABLE assignments ADD COLUMN operation TEXT;
-- When the last switch was completed, by the store's clock.
ALTER TABLE assignments ADD COLUMN switched_at BIGINT;

-- JSON array of the sites that an operation works on.
ALTER TABLE operations ADD COLUMN sites TEXT NOT NULL DEFAULT '[]';
-- Of two applies of one plan one wins.
CREATE UNIQUE INDEX operations_plan ON operations (plan);

-- One row for each agent that ever reported; an installation with several nodes may have several.
CREATE TABLE agents (
    site BIGINT NOT NULL,
    installation TEXT NOT NULL,
    holder TEXT NOT NULL,
    generation BIGINT NOT NULL,
    role TEXT NOT NULL,
    facts TEXT NOT NULL,
    counter BIGINT NOT NULL,
    lease_ms BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (site, installation, holder)
);

-- What an agent is asked to do, once, at one generation.
CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    site BIGINT NOT NULL,
    installation TEXT NOT NULL,
    generation BIGINT NOT NULL,
    what TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX orders_site ON orders (site, at);

-- What each router sees of each site's serving installation.
CREATE TABLE observations (
    router TEXT NOT NULL,
    site BIGINT NOT NULL,
    installation TEXT NOT NULL,
    seen TEXT NOT NULL,
    detail TEXT NOT NULL,
    since BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (router, site)
);
