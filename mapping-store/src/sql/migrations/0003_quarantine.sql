-- The same for both databases.

-- Installations that were failed over and have not been released: nothing is switched to them.
CREATE TABLE quarantines (
    site BIGINT NOT NULL,
    installation TEXT NOT NULL,
    generation BIGINT NOT NULL,
    since BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (site, installation)
);
