-- The schema, and the functions that refuse a row or a statement with a sentence: column, value, and what is allowed.

create schema if not exists tidemill;

comment on schema tidemill is 'Tidemill: write jobs, DAGs and requests here; read runs, attempts and problems here.';

-- Control characters, and characters that break a line or turn its direction, are shown as U+FFFD: a refusal is one
-- line (schemas/errors.py).
create function tidemill.one_line(value text) returns text
language sql immutable parallel safe
return regexp_replace(value, '[\u0001-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]', U&'\FFFD', 'g');

create function tidemill.quoted(value text) returns text
language sql immutable parallel safe
return case
    when value is null then 'null'
    when length(value) > 80 then '"' || tidemill.one_line(left(value, 80)) || '..." (' || length(value) || ' characters)'
    else '"' || tidemill.one_line(value) || '"'
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
    -- The trigger's first argument is the sentence. Pruning sets tidemill.pruning around its own DELETE, with
    -- set_config because only a superuser may create a function with such a SET clause. This prevents mistakes; it is
    -- not a security boundary.
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
