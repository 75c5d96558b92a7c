-- How many of what, by hour and by day. begins: when the hour or the day began. tenant: 0 of what
-- belongs to none. provider, reporter: empty where nobody is named. class: of bounces.
create table counts (
    tenant bigint not null,
    span text not null,
    begins bigint not null,
    stream bigint not null,
    provider text not null,
    reporter text not null,
    kind text not null,
    class text not null,
    events bigint not null,
    unmatched bigint not null,
    held bigint not null,
    primary key (tenant, span, begins, stream, provider, reporter, kind, class)
)/*: strict, without rowid */;
create index counts_begins on counts (span, begins);

-- The names that are counted one by one on a day; all others are one. Names come from outside: so
-- many of a tenant and a day, and no more. The row without names is the lock. proven: 0 or 1.
create table counted_names (
    tenant bigint not null,
    day bigint not null,
    proven bigint not null,
    provider text not null,
    reporter text not null,
    primary key (tenant, day, proven, provider, reporter)
)/*: strict, without rowid */;
create index counted_names_day on counted_names (day);
