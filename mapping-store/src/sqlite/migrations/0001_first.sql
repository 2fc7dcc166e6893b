-- One row: what a transaction that changes anything locks first. So the change sequence is ordered by commit and has no
-- holes, and the audit chain has one end.
CREATE TABLE store (
    only_row SMALLINT PRIMARY KEY CHECK (only_row = 1),
    head BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    -- The physical history of this database that the incarnation belongs to; another one starts another incarnation.
    lineage TEXT NOT NULL,
    registry BIGINT NOT NULL,
    audit_number BIGINT NOT NULL,
    audit_hash TEXT NOT NULL
);
INSERT INTO store (only_row, head, incarnation, lineage, registry, audit_number, audit_hash)
VALUES (1, 0, 0, '', 0, 0, '');

-- Names of kinds (class 1), engines (class 2; number 0 is the default engine) and sites (class 3) as small numbers.
CREATE TABLE names (
    class SMALLINT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (class, number),
    UNIQUE (class, name)
);

-- `seq` is the change that made the row and stays; later changes of the row are in `events`. A removed key keeps its
-- row without a home, because its next generation must be higher than its last.
CREATE TABLE mappings (
    seq INTEGER PRIMARY KEY,
    kind SMALLINT NOT NULL,
    engine BIGINT NOT NULL,
    id BLOB NOT NULL,
    home BIGINT,
    generation BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    source SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (kind, engine, id)
);

-- Every change that is not the making of a mapping. mappings.seq and events.seq together are 1, 2, 3 ... head.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    what SMALLINT NOT NULL,
    kind SMALLINT,
    engine BIGINT,
    id BLOB,
    name TEXT
);

-- Versions of a mapping that has changed; one that never did has only its row. The key says: one home a generation.
CREATE TABLE history (
    kind SMALLINT NOT NULL,
    engine BIGINT NOT NULL,
    id BLOB NOT NULL,
    generation BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    home BIGINT,
    state SMALLINT NOT NULL,
    source SMALLINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT,
    reason TEXT,
    PRIMARY KEY (kind, engine, id, generation)
);

-- A removed pin keeps its row without a site, for its generation.
CREATE TABLE pins (
    kind SMALLINT NOT NULL,
    engine BIGINT NOT NULL,
    id BLOB NOT NULL,
    site BIGINT,
    generation BIGINT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (kind, engine, id)
);

CREATE TABLE sites (
    site BIGINT PRIMARY KEY,
    dialect TEXT NOT NULL,
    identity TEXT,
    state SMALLINT NOT NULL,
    generation BIGINT NOT NULL,
    -- The registry revision in which the site came, or changed its dialect or its set of installations.
    revision BIGINT NOT NULL,
    reason TEXT,
    updated_at BIGINT NOT NULL
);

CREATE TABLE installations (
    site BIGINT NOT NULL,
    position BIGINT NOT NULL,
    name TEXT NOT NULL,
    zone TEXT,
    -- JSON array of addresses.
    endpoints TEXT NOT NULL,
    PRIMARY KEY (site, position),
    UNIQUE (site, name)
);

CREATE TABLE assignments (
    site BIGINT PRIMARY KEY,
    installation TEXT NOT NULL,
    generation BIGINT NOT NULL,
    since BIGINT NOT NULL
);

CREATE TABLE assignment_history (
    site BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    installation TEXT NOT NULL,
    since BIGINT NOT NULL,
    actor TEXT,
    reason TEXT,
    PRIMARY KEY (site, generation)
);

CREATE TABLE routers (
    name TEXT PRIMARY KEY,
    registry_acknowledged BIGINT NOT NULL,
    applied BIGINT NOT NULL,
    address TEXT NOT NULL,
    version TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- A released lease keeps its row without a holder, for its generation.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT,
    generation BIGINT NOT NULL,
    counter BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE intents (
    id BLOB PRIMARY KEY,
    router TEXT NOT NULL,
    site BIGINT NOT NULL,
    what TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE suffixes (
    suffix TEXT NOT NULL,
    site BIGINT NOT NULL,
    PRIMARY KEY (suffix, site)
);

CREATE TABLE plans (
    hash TEXT PRIMARY KEY,
    verb TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- The registry revision and the generations that the plan was made from are in its body.
    body TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE operations (
    id BLOB PRIMARY KEY,
    plan TEXT NOT NULL,
    verb TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL,
    generation BIGINT NOT NULL,
    body TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT
);

CREATE TABLE operation_events (
    operation BLOB NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (operation, number)
);

CREATE TABLE audit (
    number BIGINT PRIMARY KEY,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT,
    detail TEXT NOT NULL,
    request_id TEXT,
    at BIGINT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);

-- How often this file was opened: an older copy put in its place is told by a smaller number than the one beside it.
CREATE TABLE openings (
    only_row SMALLINT PRIMARY KEY CHECK (only_row = 1),
    number BIGINT NOT NULL
);
INSERT INTO openings (only_row, number) VALUES (1, 0);
