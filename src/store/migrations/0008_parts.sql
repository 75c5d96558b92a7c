-- A mark for each event cost the intake two rows more. Now one stands for a part of the feed:
-- places from 128 times `part` on, in which the tenant has such an event.
drop table event_marks;
create table event_marks (
    tenant bigint not null,
    mark text not null,
    part bigint not null,
    primary key (tenant, mark, part)
)/*: strict, without rowid */;

-- All that is there is marked anew. tables: how many of these steps the store has had, in the row
-- that every transaction with a place of the feed changes.
update feed set marked = 0, unmarked = seq;
alter table feed add column tables bigint not null default 0;
