-- What events are found by that their table has no index of: a mark is a kind and a proof, or a
-- reporter. tenant: 0 of none. Beside the table of events, because an index of it could only be
-- made at once, however many events there are.
create table event_marks (
    tenant bigint not null,
    mark text not null,
    seq bigint not null,
    primary key (tenant, mark, seq)
)/*: strict, without rowid */;

-- Events up to `marked` and behind `unmarked` have their marks; those between are given theirs while
-- the store is at work.
alter table feed add column marked bigint not null default 0;
alter table feed add column unmarked bigint not null default 0;
update feed set unmarked = seq;
