-- The same for both databases.

-- Rehearsals: what is wanted, how far it has come and what was measured are in the body.
CREATE TABLE drills (
    id TEXT PRIMARY KEY,
    mode TEXT NOT NULL,
    subject TEXT NOT NULL,
    sites TEXT NOT NULL,
    state TEXT NOT NULL,
    generation BIGINT NOT NULL,
    body TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX drills_open ON drills (started_at) WHERE ended_at IS NULL;
