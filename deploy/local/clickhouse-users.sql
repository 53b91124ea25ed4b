-- The users of cxwatch, applied at every `cxwatch up` by the administrator. Statements end in a semicolon at the
-- end of a line. Values in braces are filled in. Databases whose names start with ${database} are covered: those of replays
-- (docs/decisions/0037-shadow-databases.md), and those of tests.
CREATE USER IF NOT EXISTS writer IDENTIFIED BY '${writer_password}';
ALTER USER writer IDENTIFIED BY '${writer_password}' HOST LOCAL;
-- OPTIMIZE lets the store remove the profiles of erased customers at once instead of at some later merge.
GRANT SELECT, INSERT, SHOW, OPTIMIZE ON ${database}*.* TO writer;

CREATE USER IF NOT EXISTS migrator IDENTIFIED BY '${migrator_password}';
ALTER USER migrator IDENTIFIED BY '${migrator_password}' HOST LOCAL;
GRANT SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE DICTIONARY, dictGet, DROP DATABASE, DROP TABLE, DROP VIEW, DROP DICTIONARY, TRUNCATE, OPTIMIZE, SYSTEM VIEWS ON ${database}*.* TO migrator;
GRANT KAFKA ON *.* TO migrator;
GRANT SELECT ON system.parts TO migrator;
GRANT SELECT ON system.mutations TO migrator;
GRANT SELECT ON system.view_refreshes TO migrator;
GRANT SET DEFINER ON migrator TO migrator;
-- Every migration grants the reader the views of boards, which read tables as the migrator.
GRANT SELECT ON ${database}*.* TO migrator WITH GRANT OPTION;

-- Those who only look: no functions that reach files or the network, no changes.
CREATE SETTINGS PROFILE IF NOT EXISTS reader_limits;
ALTER SETTINGS PROFILE reader_limits SETTINGS readonly = 2 CONST, allow_ddl = 0 CONST, max_memory_usage = 1000000000 MIN 1000000 MAX 1000000000, max_execution_time = 30 MIN 1 MAX 60, max_rows_to_read = 500000000 MIN 1 MAX 500000000, max_result_rows = 1000000 MIN 1 MAX 1000000, max_result_bytes = 268435456 MIN 1 MAX 268435456, max_threads = 2 MAX 4, max_concurrent_queries_for_user = 32 CONST, log_queries = 1 CONST;
CREATE USER IF NOT EXISTS reader IDENTIFIED BY '${reader_password}';
ALTER USER reader IDENTIFIED BY '${reader_password}' HOST LOCAL SETTINGS PROFILE 'reader_limits';

-- The operator's commands read tables, too, customers and raw copies among them.
CREATE USER IF NOT EXISTS operator IDENTIFIED BY '${operator_password}';
ALTER USER operator IDENTIFIED BY '${operator_password}' HOST LOCAL SETTINGS PROFILE 'reader_limits';
GRANT SELECT, SHOW ON ${database}*.* TO operator;

CREATE DATABASE IF NOT EXISTS ${database};
