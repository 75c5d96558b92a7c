-- What readers know them by.
alter table tenants add column title text;
alter table streams add column title text;

-- Who has taken an opt-out back.
create index events_undo on events (tenant, recipient) where kind = 'undo';
