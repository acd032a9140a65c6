-- What Debezium captures: definitions and requests, and a heartbeat by which it confirms WAL while they rest.

create table tidemill.heartbeat (
    id int not null primary key default 1 check (id = 1),
    at timestamptz not null
);

insert into tidemill.heartbeat (at) values (clock_timestamp());

comment on table tidemill.heartbeat is 'One row, updated by the heartbeat.action.query of the connector.';

-- Nothing is pruned by an age that it reached while nobody captured: if the slot is lost meanwhile, the rows themselves
-- are all there is of what was accepted.
create function tidemill.captured_until() returns timestamptz
language sql volatile
return (select least(at, clock_timestamp()) from tidemill.heartbeat);

-- Both tables are insert-only, so pruning is not published; the update is that of the heartbeat.
create publication tidemill
for table tidemill.definitions, tidemill.requests, tidemill.heartbeat
with (publish = 'insert,update');
