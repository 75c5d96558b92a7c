-- What is known of one recipient.
create index events_recipient on events (tenant, recipient, seq) where recipient is not null;
drop index events_undo;

-- When its address was erased: it is not filled in again.
alter table suppressions add column erased bigint;
alter table history add column erased bigint;
