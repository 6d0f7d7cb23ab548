-- What each broker has last said of its use of quotas: JSON. at: when.
CREATE TABLE usage (
    broker uuid PRIMARY KEY,
    said bytea NOT NULL,
    at timestamptz NOT NULL
);
