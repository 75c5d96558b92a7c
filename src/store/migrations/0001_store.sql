-- One text for both engines, written for PostgreSQL; migrate.rs says what SQLite reads instead.
-- Times are milliseconds since 1970, months are YYYYMM, ids and keys are raw bytes.

create table meta (
    name text not null primary key,
    value bytea not null
)/*: strict, without rowid */;

-- The one counter of events and changes. directory: the place of the last change of tenants,
-- streams, signing keys or mailboxes. trimmed: changes up to here are no longer kept.
create table feed (
    id bigint not null primary key check (id = 1),
    seq bigint not null,
    directory bigint not null,
    trimmed bigint not null
)/*: strict */;

create table tenants (
    tenant bigint not null primary key,
    name text not null unique,
    domain text,
    created bigint not null
)/*: strict */;

create table streams (
    tenant bigint not null references tenants (tenant),
    number bigint not null,
    name text not null,
    class text not null,
    unsubscribe bigint not null,
    primary key (tenant, number),
    unique (tenant, name)
)/*: strict, without rowid */;

create table signing_keys (
    tenant bigint not null references tenants (tenant),
    serial bigint not null,
    state text not null,
    generation bigint not null,
    primary key (tenant, serial)
)/*: strict, without rowid */;

create table mailboxes (
    address text not null primary key,
    role text not null,
    tenant bigint references tenants (tenant),
    stream bigint
)/*: strict, without rowid */;

create table api_keys (
    prefix text not null primary key,
    hash bytea not null,
    tenant bigint references tenants (tenant),
    scopes text not null,
    name text not null,
    created bigint not null
)/*: strict, without rowid */;

-- Once per message: all its receipts have its time and its digest. The time comes first so that
-- what is written together lies together, and is forgotten together. created: when a receipt was
-- last stored that refers to it, to the day; never before the time that it was accepted at.
create table raw (
    at bigint not null,
    sha256 bytea not null,
    bytes bytea not null,
    created bigint not null,
    primary key (at, sha256)
)/*: strict */;

create table receipts (
    month bigint not null,
    id bytea not null,
    at bigint not null,
    tenant bigint,
    door text not null,
    mailbox text not null,
    local_part text not null,
    state text not null,
    sha256 bytea not null,
    size bigint not null,
    envelope text not null,
    primary key (month, id)
)/*: strict */;
create index receipts_tenant on receipts (tenant, month, id);
create index receipts_mailbox on receipts (local_part, month, id);
create index receipts_state on receipts (state, month, id) where state <> 'done';

-- On SQLite the place of the feed is the row's own number, which spares an index.
create table events (
    month bigint not null,
    receipt bytea not null,
    idx bigint not null,
    seq bigint not null/*: primary key */,
    at bigint not null,
    tenant bigint,
    kind text not null,
    proof text not null,
    authentication text not null,
    recipient bytea,
    address text,
    stream bigint not null,
    reference bytea not null,
    found_in text,
    effects text not null,
    detail text not null,
    unique (month, receipt, idx)
)/*: strict */;
/*postgres*/ create index events_seq on events (seq);
create index events_tenant on events (tenant, seq);
create index events_kind on events (tenant, kind, seq);

create table holds (
    month bigint not null,
    receipt bytea not null,
    idx bigint not null,
    tenant bigint,
    decision text,
    decided bigint,
    primary key (month, receipt, idx)
)/*: strict, without rowid */;
create index holds_open on holds (month, receipt, idx) where decision is null;
create index holds_open_tenant on holds (tenant, month, receipt, idx) where decision is null;

-- What stands, and nothing else.
create table suppressions (
    tenant bigint not null,
    recipient bytea not null,
    scope text not null,
    reason text not null,
    address text,
    since bigint not null,
    event_receipt bytea,
    event_idx bigint,
    evidence text not null,
    note text,
    primary key (tenant, recipient, scope, reason)
)/*: strict */;

-- What stood: one row for each lift, at the place of the feed where it ended. Only ever added to.
create table history (
    tenant bigint not null,
    recipient bytea not null,
    seq bigint not null,
    scope text not null,
    reason text not null,
    address text,
    since bigint not null,
    event_receipt bytea,
    event_idx bigint,
    evidence text not null,
    note text,
    lifted bigint not null,
    lift_note text not null,
    primary key (tenant, recipient, seq)
)/*: strict */;

create table changes (
    seq bigint not null primary key,
    at bigint not null,
    op text not null,
    tenant bigint not null,
    recipient bytea not null,
    scope text not null,
    reason text not null,
    address text
)/*: strict */;
create index changes_tenant on changes (tenant, seq);
