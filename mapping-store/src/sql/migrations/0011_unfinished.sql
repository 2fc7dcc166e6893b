-- The same for both databases.

-- How far a comparison of a site with the table has got, for whom: JSON of the router that compares.
CREATE TABLE unfinished (
    site BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    router TEXT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (site, purpose)
);
