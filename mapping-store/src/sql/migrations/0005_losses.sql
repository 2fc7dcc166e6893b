-- The same for both databases.

-- Keys, as text, whose thing a restored site does not have: their mappings stay, and requests for them are told so.
CREATE TABLE losses (
    key TEXT PRIMARY KEY,
    site BIGINT NOT NULL,
    operation TEXT NOT NULL,
    at BIGINT NOT NULL
);
