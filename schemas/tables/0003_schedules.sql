-- The grammar of schedules. `streams.core.schedule.cron.parse` is the same grammar in Python, with the same messages; a
-- property test gives both the same expressions.

create function tidemill.normal_white_space(value text) returns text
language sql immutable parallel safe
return case
    when value !~ '[\t\r\n]|^ |  | $' then value
    else trim(regexp_replace(value, '[ \t\r\n]+', ' ', 'g'))
end;

-- Converts one value of a field, a number or a name, to its number.
create function tidemill.cron_value(
    field text, item text, value text, lowest int, highest int, allowed text, names text[],
    out number int, out problem text
)
language plpgsql immutable as $$
begin
    if value = any (names) then
        -- Names count from the lowest value of the field: months from 1, weekdays from 0.
        number := array_position(names, value) - 1 + lowest;
    elsif value !~ '^[0-9]{1,4}$' then
        problem := format('%s "%s" is not understood: write %s, *, a range or a list', field, item, allowed);
    elsif value::int not between lowest and highest then
        problem := format('%s "%s" is out of range: write %s', field, item, allowed);
    else
        number := value::int;
    end if;
end
$$;

-- The list to write instead of a range that wraps around, such as 22-23,0-2 for 22-2.
create function tidemill.cron_forwards(
    field text, low_word text, high_word text, low int, high int, first int, last int, names text[]
) returns text
language sql immutable parallel safe
return case when field = 'day-of-week' and high = first then ', because SUN is 0' else '' end || ': write '
    || case
        when low > last then ''
        when low = last then low_word || ','
        else low_word || '-' || case when low_word = any (names) then names[cardinality(names)] else last::text end || ','
    end
    || case
        when high = first then high_word
        else case when high_word = any (names) then names[1] else first::text end || '-' || high_word
    end;

-- One item of a list: its values, or the problem. Day-of-week values: 10 n + d is the n-th weekday d of the month, 60 +
-- d the last one. Day-of-month 32 is the last day of the month.
create function tidemill.cron_item(
    field text, item text, lowest int, highest int, size int, allowed text, names text[],
    out numbers int[], out problem text
)
language plpgsql immutable as $$
declare
    span text := split_part(item, '/', 1);
    step_text text := substr(item, length(span) + 2);
    has_step bool := position('/' in item) > 0;
    has_end bool := position('-' in span) > 0;
    low int := lowest;
    high int := highest;
    step int := 1;
    found record;
begin
    if item = '' then
        problem := format('%s has an empty item: write %s, *, a range or a list', field, allowed);
    elsif item like '%?%' then
        problem := format('%s "%s" is not supported: write * for ?', field, item);
    elsif field = 'day-of-month' and item like '%W%' then
        problem := format('%s "%s" is not supported: there is no W (nearest weekday)', field, item);
    elsif item ~ '^H([(/]|$)' then
        problem := format(
            '%s "%s" is not supported: there is no H; use the column jitter to spread the start times', field, item);
    elsif field = 'day-of-month' and item like 'L-%' then
        problem := format('%s "%s" is not supported: only L itself, the last day of the month', field, item);
    elsif field = 'day-of-month' and item = 'L' then
        numbers := '{32}';
    elsif field = 'day-of-week' and item ~ '^([0-7]L|L[0-7])$' then
        numbers := array[60 + trim('L' from item)::int];
    elsif field = 'day-of-week' and (item = 'L' or item ~ '^([A-Z]{3}L|L[A-Z]{3})$' and trim('L' from item) = any (names)) then
        problem := format('%s "%s" is not understood: ', field, item) || coalesce(
            'write ' || array_position(names, trim('L' from item)) - 1 || 'L for the last ' || trim('L' from item)
                || ' of the month',
            'write L with its day, such as 5L for the last Friday of the month');
    elsif field = 'day-of-week' and item like '%#%' then
        found := tidemill.cron_value(field, item, split_part(item, '#', 1), lowest, highest, allowed, names);
        problem := found.problem;
        step_text := substr(item, position('#' in item) + 1);
        if problem is null and step_text !~ '^[1-5]$' then
            problem := format('%s "%s" is not understood: write a number from 1 to 5 after #', field, item);
        elsif problem is null then
            numbers := array[10 * step_text::int + found.number];
        end if;
    end if;
    if problem is not null or numbers is not null then
        return;
    end if;
    if span <> '*' then
        found := tidemill.cron_value(field, item, split_part(span, '-', 1), lowest, highest, allowed, names);
        low := found.number;
        problem := found.problem;
        if problem is null and has_end then
            found := tidemill.cron_value(
                field, item, substr(span, position('-' in span) + 1), lowest, highest, allowed, names);
            high := found.number;
            problem := found.problem;
        elsif not has_step then
            high := low;
        end if;
    end if;
    if problem is null and low > high then
        problem := format('%s "%s" runs backwards', field, item) || case
            when has_step then ': the smaller value of a range comes first'
            else tidemill.cron_forwards(
                field, split_part(span, '-', 1), split_part(span, '-', 2), low, high, lowest,
                case field when 'day-of-week' then 6 else highest end, names)
        end;
    elsif problem is null and has_step then
        if step_text !~ '^[0-9]{1,4}$' or step_text::int not between 1 and size then
            problem := format('%s "%s" has no valid step: write a number from 1 to %s after /', field, item, size);
        else
            step := step_text::int;
        end if;
    end if;
    if problem is null then
        numbers := array(select generate_series(low, high, step));
    end if;
end
$$;

create function tidemill.cron_field(
    field text, word text, lowest int, highest int, size int, names text[], out numbers int[], out problem text
)
language plpgsql immutable as $$
declare
    allowed text;
    item text;
    found record;
begin
    -- The most frequent forms come first.
    if word = '*' then
        numbers := array(select generate_series(lowest, highest));
        return;
    elsif word ~ '^[0-9]{1,2}$' and word::int between lowest and highest then
        numbers := array[word::int];
        return;
    end if;
    allowed := format('a number from %s to %s', lowest, highest)
        || coalesce(' or a name ' || names[1] || ' to ' || names[cardinality(names)], '');
    numbers := '{}';
    foreach item in array string_to_array(word, ',') loop
        found := tidemill.cron_item(field, item, lowest, highest, size, allowed, names);
        problem := found.problem;
        exit when problem is not null;
        numbers := numbers || found.numbers;
    end loop;
end
$$;

-- Whether any allowed month has a day that both day fields allow. In 400 years every date falls on every day of the
-- week.
create function tidemill.cron_ever_fires(days int[], months int[], weekdays int[]) returns bool
language sql immutable parallel safe
return exists (
    select from unnest(months) as month
    cross join lateral unnest(
        case when month in (4, 6, 9, 11) then '{30}'::int[] when month = 2 then '{28,29}' else '{31}' end
    ) as length
    cross join lateral generate_series(1, length) as day
    where (day = any (days) or (32 = any (days) and day = length))
        and exists (
            select from unnest(weekdays) as value
            where value < 10 or value / 10 = (day + 6) / 7 or (value >= 60 and day + 7 > length)
        )
);

create function tidemill.check_cron(words text[]) returns text
language plpgsql immutable as $$
declare
    -- Name, lowest value, highest value, largest step.
    fields constant text[][] := '{
        {second, 0, 59, 60}, {minute, 0, 59, 60}, {hour, 0, 23, 24},
        {day-of-month, 1, 31, 31}, {month, 1, 12, 12}, {day-of-week, 0, 7, 7}
    }';
    months constant text[] := '{JAN,FEB,MAR,APR,MAY,JUN,JUL,AUG,SEP,OCT,NOV,DEC}';
    weekdays constant text[] := '{SUN,MON,TUE,WED,THU,FRI,SAT}';
    found record;
    days int[];
    months_allowed int[];
    weekdays_allowed int[];
begin
    if cardinality(words) not in (5, 6) then
        return 'a schedule has five fields (minute hour day-of-month month day-of-week) or six with seconds first; '
            || 'this one has ' || cardinality(words);
    end if;
    if cardinality(words) = 5 then
        words := '0'::text || words;
    end if;
    for i in 1..6 loop
        found := tidemill.cron_field(
            fields[i][1], words[i], fields[i][2]::int, fields[i][3]::int, fields[i][4]::int,
            case i when 5 then months when 6 then weekdays end);
        if found.problem is not null then
            return found.problem;
        end if;
        case i
            when 4 then days := found.numbers;
            when 5 then months_allowed := found.numbers;
            when 6 then weekdays_allowed := found.numbers;
            else null;
        end case;
    end loop;
    -- As in Debian: if one day field starts with a star, a day must match both; otherwise one match is enough.
    if (words[4] like '*%' or words[6] like '*%') and words[4] <> '*'
        and not tidemill.cron_ever_fires(days, months_allowed, weekdays_allowed)
    then
        return 'it never fires: none of its months has one of its days';
    end if;
    return null;
end
$$;

create function tidemill.check_every(duration text) returns text
language plpgsql immutable as $$
declare
    found text[] := regexp_match(
        duration,
        '^(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})(?:\.([0-9]{1,3}))?s)?$');
    total_ms numeric;
begin
    if found is null or duration = '' then
        return format(
            '"@every %s" is not understood: write numbers with the units d h m s, in this order, '
            'such as 90s, 1h30m or 1.5s', duration);
    end if;
    total_ms := coalesce(found[1]::numeric, 0) * 86400000 + coalesce(found[2]::numeric, 0) * 3600000
        + coalesce(found[3]::numeric, 0) * 60000 + coalesce(found[4]::numeric, 0) * 1000
        + rpad(coalesce(found[5], ''), 3, '0')::numeric;
    if total_ms not between 1000 and 366 * 86400000.0 then
        return format('"@every %s" is out of range: from 1s to 366d', duration);
    end if;
    return null;
end
$$;

-- Whether every part of the pipeline can represent the instant, also after it is rounded up to a millisecond.
create function tidemill.is_writable(instant timestamptz) returns bool
language sql immutable parallel safe
return instant between '1970-01-01T00:00:00Z' and '2199-12-31T23:59:59.999Z';

create function tidemill.check_at(instant text) returns text
language plpgsql immutable as $$
begin
    if instant ~ ('^(19[7-9]|20[0-9]|21[0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
            'T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,3})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])$')
        -- The day exists in its month.
        and substr(instant, 9, 2)::int <= extract(day from
            make_date(substr(instant, 1, 4)::int, substr(instant, 6, 2)::int, 1) + interval '1 month -1 day')
    then
        if tidemill.is_writable(instant::timestamptz) then
            return null;
        end if;
        -- Its offset moves it out of the range.
        return format('"@at %s" is out of range: from 1970-01-01T00:00:00Z to 2199-12-31T23:59:59.999Z', instant);
    end if;
    return format(
        '"@at %s" is not understood: write a time from 1970 to 2199 with its offset and at most milliseconds, '
        'such as 2026-11-21T03:00:00Z or 2026-11-21T03:00:00.500+01:00', instant);
end
$$;

-- Whether the schedule is one of the common valid forms: five fields of a star, a star with a step, or one number, with
-- no day after the 28th. This check costs a tenth of the whole grammar.
create function tidemill.is_plain_cron(schedule text) returns bool
language sql immutable parallel safe
return schedule ~ (
    '^(?:\*|\*/[1-9]|\*/[1-5][0-9]|[0-5]?[0-9])'
    ' (?:\*|\*/[1-9]|\*/1[0-9]|\*/2[0-3]|[01]?[0-9]|2[0-3])'
    ' (?:\*|0?[1-9]|1[0-9]|2[0-8])'
    ' (?:\*|0?[1-9]|1[0-2])'
    ' (?:\*|[0-7])$');

-- The message for a form that other schedulers accept: what to write instead. Null: the grammar's own message is the
-- best one. `streams.core.schedule.hints` is the same in Python.
create function tidemill.schedule_habit(words text[]) returns text
language plpgsql immutable as $$
declare
    is_field constant text :=
        '^([0-9*?,/#LWH()-]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT)+$';
    text constant text := lower(array_to_string(words, ' ') collate "C");
    every text[];
    are_fields bool[];
    foreign_word text;
begin
    if words[1] ~ '^[A-Za-z_]+=' then
        return format('"%s" is not a field: %s', words[1], case
            when words[1] ~* '^(CRON_)?TZ=' then 'set the zone in the column timezone'
            else 'set variables in the column env'
        end);
    end if;
    every := regexp_match(
        text, '^(?:every )?(?:([0-9]{1,9}) ?)?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)$');
    if every is not null then
        return format('write an interval as @every %s%s', coalesce(every[1], '1'), left(every[2], 1));
    elsif text ~ '^(hourly|daily|midnight|weekly|monthly|yearly|annually)$' then
        return 'write it with an @: @' || text;
    elsif words[1] ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}' then
        return 'write one instant as @at and a time with its offset, such as @at 2026-11-21T03:00:00+01:00';
    elsif text ~ '^(cron|rate)\(' then
        return 'write the five fields without cron( ), and an interval as @every 5m';
    end if;
    are_fields := array(
        select upper(word collate "C") ~ is_field from unnest(words) with ordinality as each (word, place) order by place);
    if cardinality(words) = 7 and not false = any (are_fields) then
        return 'this one has 7 fields, and there is no field for the year; use the columns starts_at and ends_at';
    elsif cardinality(words) < 6 or false = any (are_fields[1:5]) or not false = any (are_fields) then
        return null;
    end if;
    foreign_word := words[array_position(are_fields, false)];
    if foreign_word ~ '^([A-Z][A-Za-z]+/[A-Za-z_/+-]+|UTC|GMT)$' then
        return format('"%s" comes after the fields: set the zone in the column timezone', foreign_word);
    end if;
    return format(
        '"%s" comes after the fields: a schedule has neither a user nor a command; '
        'set the program in the column executable, or let tidemill job put --command store it', foreign_word);
end
$$;

-- The sentence that says what is wrong with a schedule; null if it is valid, or null itself.
create function tidemill.check_schedule(schedule text) returns text
language plpgsql immutable as $$
declare
    words text[];
    name text;
    problem text;
    nicknames constant text[] := '{@hourly,@daily,@midnight,@weekly,@monthly,@yearly,@annually}';
begin
    if schedule is null or tidemill.is_plain_cron(schedule) then
        return null;
    elsif length(schedule) > 500 then
        return 'a schedule has at most 500 characters, and this one has ' || length(schedule);
    elsif schedule ~ '[^ -~\t\r\n]' then
        return 'a schedule may contain only printable ASCII characters';
    end if;
    words := string_to_array(tidemill.normal_white_space(schedule), ' ');
    if cardinality(words) = 0 then
        return 'a schedule must not be empty; null means that only requests start runs';
    elsif words[1] not like '@%' then
        problem := tidemill.check_cron(string_to_array(upper(array_to_string(words, ' ') collate "C"), ' '));
        return case when problem is not null then coalesce(tidemill.schedule_habit(words), problem) end;
    end if;
    name := lower(words[1] collate "C");
    if name in ('@every', '@at') and cardinality(words) <> 2 then
        return name || ' takes one word, such as @every 90s or @at 2026-11-21T03:00:00+01:00';
    elsif name = '@every' then
        return tidemill.check_every(words[2]);
    elsif name = '@at' then
        return tidemill.check_at(words[2]);
    elsif name <> all (nicknames) then
        return format(
            '"%s" is not known%s; allowed are %s @every @at', name,
            case name when '@reboot' then ': no schedule follows the start of a machine; set the schedule to null, '
                'and let the machine call `tidemill run <job_id>` when it starts' end,
            array_to_string(nicknames, ' '));
    elsif cardinality(words) > 1 then
        return name || ' takes nothing after it';
    end if;
    return null;
end
$$;
