-- The checks of single values: each check_* function raises a sentence if the value is not allowed.

-- Refuses control characters and other invisible characters: blanks other than the space, joiners, direction marks,
-- private use. Python's `schemas.ids` refuses the same characters.
create function tidemill.is_id(value text) returns bool
language sql immutable parallel safe
return length(value) <= 200 and (
    -- Most ids match this one pattern; the others need three passes.
    value ~ '^[A-Za-z0-9_.:-]+$'
    or (
        value <> '' and value !~ '[@#/~]'
        and value !~ '[\u0001-\u001f\u007f-\u00a0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000]'
        and value !~ '[\ue000-\uf8ff\ufeff\ufff9-\ufffb]'
    )
);

create function tidemill.check_id(column_name text, value text) returns void
language plpgsql immutable as $$
begin
    if tidemill.is_id(value) is not true then
        perform tidemill.refuse(
            column_name, value,
            'an id has 1 to 200 characters, no control characters and none of @ # / ~');
    end if;
end
$$;

create function tidemill.check_word(column_name text, value text, allowed text[]) returns void
language plpgsql immutable as $$
begin
    if value is null or value <> all (allowed) then
        perform tidemill.refuse(column_name, value, 'allowed are ' || array_to_string(allowed, ', '));
    end if;
end
$$;

create function tidemill.check_flag(column_name text, value bool) returns void
language plpgsql immutable as $$
begin
    if value is null then
        perform tidemill.refuse(column_name, null, 'allowed are true and false');
    end if;
end
$$;

create function tidemill.check_number(column_name text, value float8, lowest float8, highest float8) returns void
language plpgsql immutable as $$
begin
    if value is null or not value between lowest and highest then
        perform tidemill.refuse(
            column_name, value::text, format('allowed are numbers from %s to %s', lowest, highest));
    end if;
end
$$;

-- Months and years are refused, because their length is not fixed; a day is 24 hours.
create function tidemill.check_duration(column_name text, value interval, lowest interval) returns void
language plpgsql immutable as $$
declare
    seconds numeric := extract(epoch from value);
begin
    if value is null or not isfinite(value) then
        perform tidemill.refuse(column_name, value::text, 'it must be a duration such as 90 s or 1 h');
    elsif extract(year from value) <> 0 or extract(month from value) <> 0 then
        perform tidemill.refuse(
            column_name, value::text,
            'a month or a year has no fixed length; write weeks, days, hours, minutes or seconds');
    elsif scale(trim_scale(seconds)) > 3 then
        perform tidemill.refuse(column_name, value::text, 'a duration must be a whole number of milliseconds');
    elsif seconds not between extract(epoch from lowest) and 366 * 86400 then
        perform tidemill.refuse(
            column_name, value::text,
            case when lowest = interval '0' then 'it must be between 0 and 366 days'
                 else 'it must be longer than 0 and at most 366 days' end);
    end if;
end
$$;

create function tidemill.check_instant(column_name text, value timestamptz) returns void
language plpgsql immutable as $$
begin
    if not tidemill.is_writable(value) then
        perform tidemill.refuse(column_name, value::text, 'it must be a time from 1970 to 2199');
    end if;
end
$$;

create function tidemill.check_timezone(column_name text, value text) returns void
language plpgsql stable as $$
declare
    written constant text := '/' || replace(lower(value), ' ', '_');
    spelling text;
begin
    if value = 'UTC' then
        return;
    elsif exists (select from tidemill.zones where name = value) then
        return;
    end if;
    -- A name in another case, or only the city of a name.
    select name into spelling from tidemill.zones where right('/' || lower(name), length(written)) = written
    order by length(name), name collate "C" limit 1;
    perform tidemill.refuse(
        column_name, value,
        coalesce('did you mean "' || spelling || '"? ', '')
        || 'A time zone is a name of the IANA database in its exact spelling, such as Europe/Berlin or UTC');
end
$$;

create function tidemill.check_executable(column_name text, value text) returns void
language plpgsql immutable as $$
begin
    if value is null
        or value !~ '^s3://[a-z0-9][a-z0-9.-]+[a-z0-9]/[^\u0001-\u001f\u007f-\u009f]+$'
        or length(split_part(value, '/', 3)) > 63
        or octet_length(value) > 1100
    then
        perform tidemill.refuse(
            column_name, value,
            'it must be s3://bucket/key; a bucket has 3 to 63 of a-z 0-9 . - and a key at most 1024 bytes');
    end if;
end
$$;

create function tidemill.check_sha256(column_name text, value text) returns void
language plpgsql immutable as $$
begin
    if value !~ '^[0-9a-f]{64}$' then
        perform tidemill.refuse(
            column_name, value, 'it must be 64 lower-case hexadecimal digits, or null to accept any content');
    end if;
end
$$;

create function tidemill.check_timeout_class(column_name text, value text) returns void
language plpgsql stable as $$
begin
    if value is not null and not exists (select from tidemill.timeout_classes where name = value) then
        perform tidemill.refuse(
            column_name, value,
            'the timeout classes of this deployment are ' || coalesce(tidemill.timeout_classes_in_order(), 'none yet: run tidemill migrate')
            || '; `tidemill cluster set timeout_classes=...` adds one');
    end if;
end
$$;

create function tidemill.check_size(column_name text, value text, kilobytes int) returns void
language plpgsql immutable as $$
begin
    if octet_length(value) > kilobytes * 1024 then
        raise exception using
            errcode = 'check_violation',
            message = format(
                '%s has %s bytes as JSON: at most %s KB (%s bytes) are allowed',
                column_name, octet_length(value), kilobytes, kilobytes * 1024),
            schema = 'tidemill',
            column = column_name;
    end if;
end
$$;

-- Whether JSON is nested deeper than `levels`. It removes the strings, which may contain brackets, and then the
-- innermost pairs of brackets, once for each level.
create function tidemill.is_deep(value text, levels int) returns bool
language plpgsql immutable parallel safe as $$
declare
    brackets text := regexp_replace(value, '"[^"\\]*(\\.[^"\\]*)*"|[^][{}"]+', '', 'g');
begin
    for level in 1..levels loop
        exit when brackets = '';
        brackets := replace(replace(brackets, '[]', '<>'), '{}', '<>');
        brackets := replace(brackets, '<>', '');
    end loop;
    return brackets <> '';
end
$$;

-- JSON of any shape, which reaches its process byte for byte. It must refuse all that `schemas.codec` refuses, because
-- JSON that the codec refuses after the row was accepted is lost.
create function tidemill.check_json(column_name text, value json, kilobytes int) returns void
language plpgsql immutable as $$
declare
    written text := value::text;
begin
    if value is null then
        return;
    end if;
    perform tidemill.check_size(column_name, written, kilobytes);
    if length(translate(written, '[{', '')) < length(written) - 200 and tidemill.is_deep(written, 200) then
        perform tidemill.refuse(column_name, written, 'JSON is nested at most 200 levels deep');
    end if;
    if strpos(written, '\u') > 0 then
        begin
            perform json_strip_nulls(value);
        exception when untranslatable_character or invalid_text_representation then
            perform tidemill.refuse(
                column_name, written,
                'it contains \u0000 or half of a surrogate pair (\u escapes), which Postgres cannot read in JSON');
        end;
    end if;
end
$$;

-- Removes the white space around JSON.
create function tidemill.normal_json(value json) returns json
language sql immutable parallel safe
return case when value::text ~ '^\s|\s$' then btrim(value::text, E' \t\r\n')::json else value end;

-- A spec with one more field, whose JSON is kept as it was written: jsonb would rewrite its numbers and names.
create function tidemill.spec_with(spec jsonb, field text, value json) returns json
language sql immutable parallel safe
return case when value is null then spec::json
    else (left(spec::text, -1) || ', ' || to_json(field)::text || ': ' || value::text || '}')::json end;

create function tidemill.check_args(column_name text, value jsonb) returns void
language plpgsql immutable as $$
begin
    perform tidemill.check_size(column_name, value::text, 32);
    if value is null or jsonb_typeof(value) <> 'array'
        or jsonb_path_exists(value, 'strict $[*] ? (@.type() != "string")')
    then
        perform tidemill.refuse(
            column_name, value::text, 'it must be a JSON array of strings, such as ["--fast", "7"]');
    end if;
end
$$;

create function tidemill.check_env(column_name text, value jsonb) returns void
language plpgsql immutable as $$
declare
    bad text;
begin
    perform tidemill.check_size(column_name, value::text, 32);
    if value is null or jsonb_typeof(value) <> 'object'
        or jsonb_path_exists(value, 'strict $.* ? (@.type() != "string")')
    then
        perform tidemill.refuse(
            column_name, value::text, 'it must be a JSON object of strings, such as {"MODE": "fast"}');
    end if;
    if value = '{}' then
        return;
    end if;
    select name into bad from jsonb_object_keys(value) as name
        where name !~ '^[A-Za-z_][A-Za-z0-9_]*$' or name like 'TIDEMILL\_%' limit 1;
    if found then
        perform tidemill.refuse(
            column_name, bad,
            'the name of a variable may contain only letters, digits and _, and must not start with a digit '
            'or with TIDEMILL_, the prefix of the variables that the executor sets');
    end if;
end
$$;

create function tidemill.check_exit_codes(column_name text, value int[]) returns void
language plpgsql immutable as $$
begin
    if value = '{}' then
        return;
    elsif value is null or cardinality(value) > 255 or coalesce(array_ndims(value), 1) > 1
        or exists (select from unnest(value) as code where code is null or code not between 1 and 255)
    then
        perform tidemill.refuse(column_name, value::text, 'it must be a list of exit codes from 1 to 255');
    end if;
end
$$;

create function tidemill.check_bytes(column_name text, value bigint) returns void
language plpgsql immutable as $$
begin
    if value is not null and value not between 1048576 and 1125899906842624 then
        perform tidemill.refuse(
            column_name, value::text,
            'allowed are bytes from 1048576 (1 MB) to 1125899906842624 (1 PB); pg_size_bytes(''512 MB'') computes them');
    end if;
end
$$;

-- What an attempt may use. Null: no limit.
create function tidemill.check_confinement(
    sandbox text, network text, memory bigint, disk bigint, cpu float8, pids int) returns void
language plpgsql immutable as $$
begin
    if sandbox is not null then
        perform tidemill.check_word('sandbox', sandbox, '{basic,strict}');
    end if;
    if network is not null then
        perform tidemill.check_word('network', network, '{any,none}');
    end if;
    perform tidemill.check_bytes('memory', memory), tidemill.check_bytes('disk', disk);
    if cpu is not null then
        perform tidemill.check_number('cpu', cpu, 0.01, 1024);
    end if;
    if pids is not null then
        perform tidemill.check_number('pids', pids, 1, 4194304);
    end if;
end
$$;

create function tidemill.check_unveil(column_name text, value text[]) returns void
language plpgsql immutable as $$
declare
    bad text;
begin
    if value = '{}' then
        return;
    elsif value is null or coalesce(array_ndims(value), 1) > 1 or cardinality(value) > 32 then
        perform tidemill.refuse(column_name, value::text, 'it must be a list of at most 32 paths, such as {r:/srv/www}');
    end if;
    select each into bad from unnest(value) as each
        where each is null or octet_length(each) > 1000
            or each !~ '^(r|rw|rx|rwx):/([^/\u0001-\u001f\u007f]+(/[^/\u0001-\u001f\u007f]+)*)?$'
            or each ~ '[:/][.][.]?(/|$)'
        limit 1;
    if found then
        perform tidemill.refuse(
            column_name, coalesce(bad, 'null'),
            'a path is r:, rw:, rx: or rwx: and an absolute path of at most 1000 bytes without . and .. and without / at '
            'its end, such as r:/srv/www');
    end if;
end
$$;

-- Rounds up to milliseconds, the precision of the records: rounding down could start a run too early.
create function tidemill.whole_milliseconds(value timestamptz) returns timestamptz
language sql immutable strict parallel safe
return case when isfinite(value)
    then date_trunc('milliseconds', value + interval '999 microseconds', 'UTC') else value end;
