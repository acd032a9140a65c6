-- What Debezium captures: definitions, requests, and a heartbeat with which it confirms WAL while the two do not
-- change.

create table tidemill.heartbeat (
    id int not null primary key default 1 check (id = 1),
    at timestamptz not null
);

insert into tidemill.heartbeat (at) values (clock_timestamp());

comment on table tidemill.heartbeat is 'One row, which the connector updates regularly (heartbeat.action.query).';

-- Pruning measures age up to the last heartbeat, so no row becomes old while the connector is down: if the replication
-- slot is lost then, the rows are the only record of what was accepted.
create function tidemill.captured_until() returns timestamptz
language sql volatile
return (select least(at, clock_timestamp()) from tidemill.heartbeat);

-- Deletes are not published, because pruning is no change. The only updates are those of the heartbeat.
create publication tidemill
for table tidemill.definitions, tidemill.requests, tidemill.heartbeat
with (publish = 'insert,update');
