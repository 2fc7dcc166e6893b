-- The same for both databases.

-- What every site of a scope is to have, in the order of numbers. A removal is a row of its own: the tombstone of the
-- rows that name it in `removed_by`. Both go when every site has them behind it.
CREATE TABLE deployments (
    number BIGINT PRIMARY KEY,
    scope TEXT NOT NULL,
    verb TEXT NOT NULL,
    removed_by BIGINT,
    tenant TEXT,
    name TEXT NOT NULL,
    hash TEXT NOT NULL,
    what TEXT NOT NULL,
    length BIGINT NOT NULL,
    content BYTEA NOT NULL,
    recorded_at BIGINT NOT NULL
);

-- How far each site is with each of them, under which id the site has it, and what it made of it.
CREATE TABLE deployment_sites (
    number BIGINT NOT NULL,
    site BIGINT NOT NULL,
    standing TEXT NOT NULL,
    id TEXT,
    holds TEXT NOT NULL,
    detail TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (number, site)
);
