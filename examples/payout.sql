-- The tables that payout.py needs in its database, in addition to schemas/tables/0010_fences.sql.
create table accounts (
    account text not null primary key,
    cents bigint not null
);

create table payouts (
    run_id text not null primary key,
    account text not null references accounts,
    cents bigint not null
);
