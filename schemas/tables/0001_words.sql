-- The schema, and the one way in which a row is refused: a sentence that names column, value and what is allowed.

create schema if not exists tidemill;

comment on schema tidemill is 'Jobs and requests are written here; runs are read here.';

create function tidemill.quoted(value text) returns text
language sql immutable parallel safe
return case
    when value is null then 'null'
    when length(value) > 80 then '"' || left(value, 80) || '..." (' || length(value) || ' characters)'
    else '"' || value || '"'
end;

create function tidemill.refuse(column_name text, value text, allowed text) returns void
language plpgsql as $$
begin
    raise exception using
        errcode = 'check_violation',
        message = format('%s is %s: %s', column_name, tidemill.quoted(value), allowed),
        schema = 'tidemill',
        column = column_name;
end
$$;

create function tidemill.refuse_statement() returns trigger
language plpgsql as $$
begin
    -- The first argument of the trigger is the sentence. Pruning is the one exception: it sets tidemill.pruning around
    -- its own statement, by set_config: only a superuser may create a function with such a SET clause. This guards
    -- against mistakes, not against somebody who means it.
    if tg_op = 'DELETE' and current_setting('tidemill.pruning', true) = 'on' then
        return old;
    end if;
    raise exception using
        errcode = 'check_violation',
        message = format('%s of tidemill.%s is refused: %s', tg_op, tg_table_name, tg_argv[0]),
        schema = 'tidemill',
        table = tg_table_name;
end
$$;
