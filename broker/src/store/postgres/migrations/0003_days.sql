-- The journal by days: partitions are made and dropped while brokers run. What was there before, and what finds no day, is
-- in the default one.
ALTER TABLE journal RENAME TO journal_rest;
ALTER INDEX journal_pkey RENAME TO journal_rest_pkey;
CREATE TABLE journal (
    root uuid NOT NULL,
    number bigint NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (root, number)
) PARTITION BY RANGE (root);
ALTER TABLE journal ATTACH PARTITION journal_rest DEFAULT;
