-- What the processes keep for themselves, and what a person does instead of writing there. The functions that write to these
-- tables say so (`tidemill.keeping`), and so does the sink; triggers need not. This guards against mistakes, not against somebody
-- who means it.
do $$
declare
    kept record;
begin
    for kept in
        select * from (values
            ('owners', 'update or delete or truncate',
                'it keeps the order of versions, and nothing else knows it; tidemill.prune_definitions(older_than) removes '
                'what is unused'),
            ('definitions_pruned', 'update or delete or truncate',
                'tidemill.prune_definitions(older_than) keeps its place here'),
            ('dag_changes', 'update or delete or truncate',
                'it holds what a transaction still has to check; write to tidemill.dags and tidemill.dag_nodes'),
            ('sink_offsets', 'update or delete or truncate',
                'the sink keeps its place in the topics here; insert a row into tidemill.requests to run something again'),
            ('weeks', 'update or delete or truncate',
                'the sink writes it; use tidemill.prune(older_than) to drop what is old'),
            ('retention', 'update or delete or truncate',
                'the sink writes it; use tidemill.prune(older_than) to drop what is old'),
            ('heartbeat', 'delete or truncate',
                'nothing is pruned without its one row, which the connector updates; leave it as it is'),
            ('fences', 'delete or truncate',
                'an attempt that is over would pass again; use tidemill.prune_fences(older_than)'),
            ('zones', 'update or delete or truncate',
                'it is what a timezone may be; new names come with `tidemill migrate` of a newer version'),
            ('timeout_classes', 'insert or update or delete or truncate',
                'each class has a topic of its own; `tidemill cluster set timeout_classes=...` changes them everywhere'),
            ('deployment', 'update or delete or truncate',
                'its name marks what this deployment keeps in the bucket; it stays as `tidemill migrate` has made it'),
            ('restored', 'update or delete or truncate',
                '`tidemill restored` heals the database, and the row goes with it'),
            ('migrations', 'update or delete or truncate',
                '`tidemill migrate` writes it, and would apply again what it does not find')
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
