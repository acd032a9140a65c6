-- What fills the tables of a release beside the sink. Fixed values where a column has a random one.
set tidemill.keeping = 'on';
-- The log would make partitions of the day on which this file is used; its row below is of the story's time.
alter table tidemill.jobs disable trigger audited;
alter table tidemill.jobs disable trigger audited_update;
alter table tidemill.dags disable trigger audited;
alter table tidemill.dags disable trigger audited_update;
alter table tidemill.dag_nodes disable trigger audited;
alter table tidemill.dag_nodes disable trigger audited_update;
alter table tidemill.requests disable trigger audited;
insert into tidemill.jobs (job_id, executable, schedule, timezone, payload, args, env, max_attempts, overlap_policy)
values ('job', 's3://tidemill/x', '*/5 * * * *', 'Europe/Berlin', '{"day": 1}', '["a", "b"]', '{"A": "1"}', 3, 'buffer_one');
insert into tidemill.jobs (
    job_id, executable, pause_on_failure, sandbox, memory, disk, cpu, pids, network, unveil)
values ('weak', 's3://tidemill/x', 1, 'strict', 536870912, 1073741824, 0.5, 100, 'none', '{r:/srv/www}');
insert into tidemill.jobs (job_id, executable) values ('gone', 's3://tidemill/x');
update tidemill.jobs set paused = true, paused_note = 'by hand' where job_id = 'weak';
delete from tidemill.jobs where job_id = 'gone';
begin;
insert into tidemill.dags (dag_id, schedule) values ('dag', '@daily');
insert into tidemill.dag_nodes (dag_id, node_id, executable, depends_on, trigger_rule)
values ('dag', 'a', 's3://tidemill/x', '{}', 'all_success'), ('dag', 'b', 's3://tidemill/x', '{a}', 'all_done');
commit;
insert into tidemill.requests (request_id, job_id, payload, note) values ('held', 'job', '{"day": 3}', 'by hand');
insert into tidemill.requests (request_id, dag_id) values ('r', 'dag');
insert into tidemill.requests (request_id, kind, run_id) values ('stop', 'cancel', 'job#stopped');
insert into tidemill.requests (request_id, kind, job_id, backfill_from, backfill_to)
values ('bf', 'backfill', 'job', '2026-03-01 11:00:00Z', '2026-03-01 11:30:00Z');
select tidemill.fence_ok('job#held', 7);
insert into tidemill.retention (began_at, finished_at, next_at)
values ('2026-03-01 11:00:00Z', '2026-03-01 11:00:01Z', '2026-03-01 12:00:00Z');
insert into tidemill.restored (given, applied) values (5, 9);
update tidemill.deployment set name = '00000000-0000-4000-8000-000000000001';
alter table tidemill.jobs enable trigger audited;
alter table tidemill.jobs enable trigger audited_update;
alter table tidemill.dags enable trigger audited;
alter table tidemill.dags enable trigger audited_update;
alter table tidemill.dag_nodes enable trigger audited;
alter table tidemill.dag_nodes enable trigger audited_update;
alter table tidemill.requests enable trigger audited;
select tidemill.make_week('2026-03-01');
insert into tidemill.audit_log (at, number, login, role, door, action, kind, owner, tenant, after)
values ('2026-03-01 11:00:00Z', 1, 'tidemill', 'tidemill', 'sql', 'insert', 'job', 'job', 'default', '{"version": 1}');
