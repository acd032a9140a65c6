-- Tables that only Tidemill's processes write. Other statements are refused, with a sentence that says what to do
-- instead. The functions that write here set `tidemill.keeping`, and the sink sets `tidemill.sink`; triggers need
-- neither. This prevents mistakes; it is not a security boundary.
do $$
declare
    kept record;
begin
    for kept in
        select * from (values
            ('owners', 'update or delete or truncate',
                'only this table keeps the order of versions; tidemill.prune_definitions(older_than) removes unused rows'),
            ('definitions_pruned', 'update or delete or truncate',
                'tidemill.prune_definitions(older_than) records its progress here'),
            ('dag_changes', 'update or delete or truncate',
                'it lists the DAGs that a transaction checks at commit; write to tidemill.dags and tidemill.dag_nodes'),
            ('sink_offsets', 'update or delete or truncate',
                'the sink keeps its offsets here; insert a row into tidemill.requests to run something again'),
            ('weeks', 'update or delete or truncate',
                'only the sink writes it; use tidemill.prune(older_than) to drop old weeks'),
            ('retention', 'update or delete or truncate',
                'only the sink writes it; use tidemill.prune(older_than) to drop old weeks'),
            ('heartbeat', 'delete or truncate',
                'pruning needs its one row, which the connector updates; do not remove it'),
            ('fences', 'delete or truncate',
                'an old attempt would pass its fence again; use tidemill.prune_fences(older_than), and after a loss of Kafka''s '
                'data see docs/fencing.md'),
            ('zones', 'update or delete or truncate',
                'it lists the allowed time zones; `tidemill migrate` of a newer version adds new names'),
            ('timeout_classes', 'insert or update or delete or truncate',
                'each class needs its own topic; `tidemill cluster set timeout_classes=...` changes classes and topics'),
            ('deployment', 'update or delete or truncate',
                'its name marks the objects of this deployment in the bucket; it must not change'),
            ('restored', 'update or delete or truncate',
                'run `tidemill restored`, which heals the database and deletes the row'),
            ('reconciliation', 'update or delete or truncate',
                'the sinks write here how the streams compare with this database'),
            ('migrations', 'update or delete or truncate',
                '`tidemill migrate` writes it, and would apply a migration again if its row were missing')
        ) as listed (name, events, sentence)
    loop
        execute format(
            'create trigger kept before %s on tidemill.%I for each statement when ('
            'pg_trigger_depth() = 0 and current_setting(''tidemill.sink'', true) is distinct from ''on'' '
            'and current_setting(''tidemill.keeping'', true) is distinct from ''on'') '
            'execute function tidemill.refuse_statement(%L)',
            kept.events, kept.name, kept.sentence);
    end loop;
end
$$;
