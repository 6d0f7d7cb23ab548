-- Every key begins with the tree (its root task), the principal, or a name, so that the tables can be distributed by it;
-- everything of a tree that one append changes has the tree's id as its first column.
-- Texts that are part of a key compare by their bytes, whatever the database's locale.

-- The brokers that share the tables, one row for each time one was started. expires: until then it is not to be taken for
-- dead, by the clock of the database. gone: others may take its trees; never again false.
CREATE TABLE brokers (
    id uuid PRIMARY KEY,
    url text NOT NULL,
    expires timestamptz NOT NULL,
    gone boolean NOT NULL DEFAULT false
);

-- How a tree stands. driver: the broker that may append to it. over: the time of its last append, in milliseconds since 1970,
-- once it is over.
CREATE TABLE trees (
    root uuid PRIMARY KEY,
    records bigint NOT NULL,
    over bigint,
    driver uuid NOT NULL
);
CREATE INDEX trees_open ON trees (root) WHERE over IS NULL;
CREATE INDEX trees_driven ON trees (driver, root) WHERE over IS NULL;
CREATE INDEX trees_over ON trees (over, root) WHERE over IS NOT NULL;

-- The only source of truth; what follows is derived from it.
CREATE TABLE journal (
    root uuid NOT NULL,
    number bigint NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (root, number)
);

-- What ListTasks filters and sorts by. state: as on the wire. updated: milliseconds since 1970.
CREATE TABLE tasks (
    root uuid NOT NULL,
    task uuid NOT NULL,
    owner text COLLATE "C" NOT NULL,
    agent text COLLATE "C" NOT NULL,
    context_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    updated bigint NOT NULL,
    PRIMARY KEY (root, task)
);
CREATE INDEX tasks_located ON tasks (task);
CREATE INDEX tasks_newest ON tasks (updated DESC, task DESC);
CREATE INDEX tasks_of_owner ON tasks (owner, updated DESC, task DESC);
CREATE INDEX tasks_of_agent ON tasks (owner, agent, updated DESC, task DESC);
CREATE INDEX tasks_of_context ON tasks (owner, context_id);

-- How many tasks there are of each kind: the sum over the slots, of which each committer has its own, so that none waits
-- for another.
CREATE TABLE totals (
    owner text COLLATE "C" NOT NULL,
    agent text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    slot integer NOT NULL,
    tasks bigint NOT NULL,
    PRIMARY KEY (owner, agent, state, slot)
);

-- Idempotency. remembered: when the tree was last changed, once it was removed.
CREATE TABLE claims (
    principal text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    task uuid NOT NULL,
    root uuid NOT NULL,
    remembered bigint,
    PRIMARY KEY (principal, message_id)
);
CREATE INDEX claims_of_tree ON claims (root) WHERE remembered IS NULL;
CREATE INDEX claims_remembered ON claims (remembered, principal, message_id) WHERE remembered IS NOT NULL;

-- How far each push has come. trouble: JSON.
CREATE TABLE outbox (
    root uuid NOT NULL,
    task uuid NOT NULL,
    config text COLLATE "C" NOT NULL,
    set bigint NOT NULL,
    next bigint NOT NULL,
    trouble text,
    PRIMARY KEY (root, task, config)
);
CREATE UNIQUE INDEX outbox_of_task ON outbox (task, config);

CREATE TABLE agents (
    name text COLLATE "C" PRIMARY KEY,
    document bytea NOT NULL
);

-- The broker's own: its keys among them.
CREATE TABLE documents (
    name text COLLATE "C" PRIMARY KEY,
    document bytea NOT NULL
);

-- The audit log, each line chained to the one before, and where it ends: one row, which whoever appends locks.
CREATE TABLE audit (
    number bigint PRIMARY KEY,
    line bytea NOT NULL
);
CREATE TABLE audit_head (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    number bigint NOT NULL,
    hash bytea NOT NULL
);
INSERT INTO audit_head (number, hash) VALUES (0, decode(repeat('00', 32), 'hex'));
