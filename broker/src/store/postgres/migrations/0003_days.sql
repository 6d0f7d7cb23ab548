-- The journal by days: partitions are made and dropped while brokers run. What was there before is one partition, to the end
-- of tomorrow, and stays; what finds no day is in the default one, which stays small: it is looked through whenever a day is made.
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
    tomorrow constant bigint := (extract(epoch FROM now()) * 1000)::bigint / day + 1;
    -- Of a broker whose clock was fast, it may be later.
    newest constant uuid := (SELECT root FROM journal_before ORDER BY root DESC LIMIT 1);
    its_day constant bigint := ('x' || left(replace(newest::text, '-', ''), 12))::bit(48)::bigint / day;
    ends constant bigint := (greatest(tomorrow, its_day) + 1) * day;
BEGIN
    IF newest IS NULL THEN
        DROP TABLE journal_before;
    ELSE
        EXECUTE format(
            'ALTER TABLE journal ATTACH PARTITION journal_before FOR VALUES FROM (MINVALUE) TO (%L)',
            (lpad(to_hex(ends), 12, '0') || repeat('0', 20))::uuid
        );
    END IF;
END $$;
