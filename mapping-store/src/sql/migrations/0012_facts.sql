-- The same for both databases.

-- What a router says of itself beyond the heartbeat: JSON, read by routers and agents.
ALTER TABLE routers ADD COLUMN facts TEXT NOT NULL DEFAULT '{}';
