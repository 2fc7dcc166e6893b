-- The same for both databases.

-- What was written of users, groups, tenants and their like, and what every site of a scope is to have behind it in the
-- order of numbers. What something newer decides anew goes; a removal goes with what it removed when every site has it
-- behind it. No second thing is the empty text.
CREATE TABLE shared (
    number BIGINT PRIMARY KEY,
    scope TEXT NOT NULL,
    verb TEXT NOT NULL,
    subject TEXT NOT NULL,
    other TEXT NOT NULL,
    what TEXT NOT NULL,
    content BYTEA NOT NULL,
    recorded_at BIGINT NOT NULL
);
CREATE INDEX shared_subject ON shared (scope, subject);
CREATE INDEX shared_other ON shared (scope, other);

-- How far each site is with each of them, under which id the site has it, and what it lacks of it all the same.
CREATE TABLE shared_sites (
    number BIGINT NOT NULL,
    site BIGINT NOT NULL,
    standing TEXT NOT NULL,
    id TEXT,
    holds TEXT NOT NULL,
    detail TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (number, site)
);
CREATE INDEX shared_sites_of ON shared_sites (site, standing);
