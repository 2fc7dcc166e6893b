-- The same for both databases.

-- What the last comparison of each site with the table has found: JSON of the router that compared.
CREATE TABLE drift (
    site BIGINT PRIMARY KEY,
    router TEXT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL
);
