-- How many runs a filter has, up to a limit, if an index has exactly them: it needs no row.
select count(*) as runs from ({counted}) as found
