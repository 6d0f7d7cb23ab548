-- The journal by days: partitions are made and dropped while brokers run. What was there before is one partition, to the end
-- of tomorrow; what finds no day is in the default one, which stays small: it is looked through whenever a day is made.
ALTER TABLE journal RENAME TO journal_before;
ALTER INDEX journal_pkey RENAME TO journal_before_pkey;
CREATE TABLE journal (
    root uuid NOT NULL,
    number bigint NOT NULL,
    record bytea NOT NULL,
    PRIMARY KEY (root, number)
) PARTITION BY RANGE (root);
CREATE TABLE journal_rest PARTITION OF journal DEFAULT;
DO $$
DECLARE
    day constant bigint := 86400000;
    after_tomorrow constant bigint := (extract(epoch FROM now()) * 1000)::bigint / day * day + 2 * day;
BEGIN
    IF EXISTS (SELECT FROM journal_before) THEN
        EXECUTE format(
            'ALTER TABLE journal ATTACH PARTITION journal_before FOR VALUES FROM (MINVALUE) TO (%L)',
            (lpad(to_hex(after_tomorrow), 12, '0') || repeat('0', 20))::uuid
        );
    ELSE
        DROP TABLE journal_before;
    END IF;
END $$;
