-- The columns of tidemill.jobs with their types, defaults and comments, in the order of the table.
select
    attname as name, format_type(atttypid, atttypmod) as type, attnotnull as needed,
    pg_get_expr(adbin, adrelid) as fallback, col_description(attrelid, attnum) as comment
from pg_attribute
left join pg_attrdef on adrelid = attrelid and adnum = attnum
where attrelid = 'tidemill.jobs'::regclass and attnum > 0 and not attisdropped
order by attnum
