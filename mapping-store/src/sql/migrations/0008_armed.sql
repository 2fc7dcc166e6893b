-- The same for both databases.

-- Of each definition that starts by itself, the one site that may do so. No tenant is the empty text.
CREATE TABLE armed (
    scope TEXT NOT NULL,
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    site BIGINT NOT NULL,
    stage TEXT NOT NULL,
    detail TEXT NOT NULL,
    generation BIGINT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (scope, tenant, key)
);
