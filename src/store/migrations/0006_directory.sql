-- changed: the place of the feed of the last change of a tenant or of anything that is its own.
-- shared: the same of mailboxes that are no tenant's. A node reads anew what has changed, and no
-- more.
alter table tenants add column changed bigint not null default 0;
create index tenants_changed on tenants (changed);
alter table feed add column shared bigint not null default 0;

-- Domains that are served for a tenant: the one that its tokens are minted on, and those before.
create table domains (
    domain text not null primary key,
    tenant bigint not null references tenants (tenant)
)/*: strict, without rowid */;
create index domains_tenant on domains (tenant);
insert into domains (domain, tenant)
    select domain, tenant from tenants where domain is not null on conflict do nothing;

create index mailboxes_tenant on mailboxes (tenant, address);
create index api_keys_tenant on api_keys (tenant, prefix);
