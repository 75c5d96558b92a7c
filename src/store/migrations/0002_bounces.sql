-- Failures that count against a recipient. One row for each recipient that has any, which is the
-- lock under which its days are counted. since: failures up to here count no more, because mail has
-- arrived or because they have led to something; last: when it failed last. Times are those of the
-- receipts.
create table soft_recipients (
    tenant bigint not null,
    recipient bytea not null,
    since bigint not null,
    last bigint not null,
    primary key (tenant, recipient)
)/*: strict, without rowid */;
create index soft_recipients_last on soft_recipients (last);

-- One row for each UTC day (days since 1970) with a failure; how many of each kind.
create table soft_days (
    tenant bigint not null,
    recipient bytea not null,
    day bigint not null,
    last bigint not null,
    failures bigint not null,
    full_failures bigint not null,
    unread_failures bigint not null,
    primary key (tenant, recipient, day)
)/*: strict, without rowid */;

-- When a tenant last told what was delivered.
create table delivery_feeds (
    tenant bigint not null primary key,
    last bigint not null
)/*: strict */;

-- Recipients that a provider called dead in an hour (hours since 1970). batch: the brake held them.
-- counts: whether the hour tells what is usual; one that was braked does only after approval.
create table bounce_hours (
    tenant bigint not null,
    provider text not null,
    hour bigint not null,
    bounces bigint not null,
    batch text,
    counts bigint not null,
    primary key (tenant, provider, hour)
)/*: strict, without rowid */;
create index bounce_hours_hour on bounce_hours (hour);
create index bounce_hours_batch on bounce_hours (batch) where batch is not null;

-- Who they are, and by which event.
create table hard_bounces (
    tenant bigint not null,
    provider text not null,
    hour bigint not null,
    recipient bytea not null,
    receipt bytea not null,
    idx bigint not null,
    primary key (tenant, provider, hour, recipient)
)/*: strict, without rowid */;
create index hard_bounces_hour on hard_bounces (hour);

-- Bounces of a day that our own sending is to blame for.
create table bounce_signals (
    tenant bigint not null,
    provider text not null,
    class text not null,
    day bigint not null,
    bounces bigint not null,
    primary key (tenant, provider, class, day)
)/*: strict, without rowid */;
create index bounce_signals_day on bounce_signals (day);

create table alarms (
    id text not null primary key,
    at bigint not null,
    tenant bigint,
    kind text not null,
    detail text not null
)/*: strict, without rowid */;
create index alarms_at on alarms (at, id);

-- scope, reason and because: what is held of an event that had taken effect before.
alter table holds add column batch text;
alter table holds add column scope text;
alter table holds add column reason text;
alter table holds add column because text;
create index holds_batch on holds (batch, month, receipt, idx)
    where decision is null and batch is not null;

-- Of bounces: why, and whose server said so.
alter table suppressions add column class text;
alter table suppressions add column provider text;
alter table history add column class text;
alter table history add column provider text;
create index suppressions_since on suppressions (tenant, since, recipient, scope, reason);

-- Events that hold no longer, because their receipt was read again.
create table withdrawn_events (
    month bigint not null,
    receipt bytea not null,
    idx bigint not null,
    at bigint not null,
    primary key (month, receipt, idx)
)/*: strict, without rowid */;
