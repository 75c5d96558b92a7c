//! Listings and feeds are read by an index, whatever they are filtered by: none goes through a
//! table, and none but the one that says why sorts what it has found.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection};

use super::event_feed::{Asked, EventFilter};
use super::feed;
use super::paging::Paging;
use super::receipts::{self, ReceiptFilter};
use super::{directory, migrate};
use crate::model::event::{EventKind, Proof};
use crate::model::receipt::ReceiptState;
use crate::model::recipient::RecipientKey;
use crate::model::tenant::TenantId;

const TENANT: Option<TenantId> = Some(TenantId::DEFAULT);

async fn tables() -> SqliteConnection {
    let mut connection = SqliteConnectOptions::new().connect().await.unwrap();
    for step in migrate::STEPS {
        let step = AssertSqlSafe(migrate::for_sqlite(step));
        sqlx::raw_sql(step).execute(&mut connection).await.unwrap();
    }
    connection
}

/// How SQLite would run a statement, a line a step.
async fn plan(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let sql = AssertSqlSafe(format!("explain query plan {sql}"));
    let rows = sqlx::raw_sql(sql).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

fn scans(step: &str, table: &str) -> bool {
    step == format!("SCAN {table}") || step.starts_with(&format!("SCAN {table} "))
}

fn is_done(state: ReceiptState) -> bool {
    state == ReceiptState::Done
}

#[tokio::test]
async fn what_has_changed_in_the_directory_is_found_by_an_index() {
    let mut tables = tables().await;
    let own = directory::OF_CHANGED;
    for (table, statement) in [
        ("tenants", directory::CHANGED_TENANTS.to_owned()),
        ("streams", directory::sql(directory::STREAMS, own)),
        ("signing_keys", directory::sql(directory::KEYS, own)),
        ("mailboxes", directory::sql(directory::MAILBOXES, own)),
        ("domains", directory::sql(directory::DOMAINS, own)),
    ] {
        let plan = plan(&mut tables, &statement).await;
        assert!(
            !plan
                .iter()
                .any(|step| scans(step, table) || scans(step, "tenants")),
            "{table}: {plan:?}"
        );
    }
}

#[tokio::test]
async fn receipts_are_listed_by_an_index() {
    let mut tables = tables().await;
    for tenant in [None, TENANT] {
        for mailbox in [None, Some("fbl"), Some("fbl@fb.example.com")] {
            for state in [None, Some(ReceiptState::Held), Some(ReceiptState::Done)] {
                let filter = ReceiptFilter {
                    mailbox: mailbox.map(str::to_owned),
                    state,
                };
                let (sql, _) = receipts::listing(tenant, &filter, &Paging::default()).unwrap();
                let plan = plan(&mut tables, &sql).await.join("; ");
                // Nearly all are done: those are found by going through them in their order.
                let all = tenant.is_none() && mailbox.is_none() && state.is_none_or(is_done);
                let index = if all {
                    "sqlite_autoindex_receipts"
                } else {
                    "receipts_"
                };
                assert!(
                    plan.contains(&format!("USING INDEX {index}")),
                    "{sql}: {plan}"
                );
                assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
            }
        }
    }
}

#[tokio::test]
async fn the_feed_is_read_from_its_place_on() {
    let mut tables = tables().await;
    for (tenant, by) in [
        (None, "SEARCH changes USING INTEGER PRIMARY KEY (rowid>?)"),
        (
            TENANT,
            "SEARCH changes USING INDEX changes_tenant (tenant=? AND seq>?)",
        ),
    ] {
        let (sql, _) = feed::changes_behind(tenant, 7, 10);
        let plan = plan(&mut tables, &sql).await;
        assert!(plan.iter().any(|step| step == by), "{plan:?}");
        assert!(!plan.join(";").contains("TEMP B-TREE"), "{plan:?}");
    }
    let (sql, _) = feed::last_change_up_to(7);
    let plan_of_last = plan(&mut tables, &sql).await;
    let by = "SEARCH changes USING INTEGER PRIMARY KEY (rowid<?)";
    assert!(
        plan_of_last.iter().any(|step| step == by),
        "{plan_of_last:?}"
    );
}

#[tokio::test]
async fn events_are_read_from_their_place_on() {
    let mut tables = tables().await;
    let place = "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)";
    let recipient =
        "SEARCH events USING INDEX events_recipient (tenant=? AND recipient=? AND seq>?)";
    let of_tenant = "SEARCH events USING INDEX events_tenant (tenant=? AND seq>?)";
    let of_kind = "SEARCH events USING INDEX events_kind (tenant=? AND kind=? AND seq>?)";
    let any = EventFilter::default;
    let complaints = || EventFilter {
        kind: Some(EventKind::Complaint),
        ..any()
    };
    let unproven = |filter| EventFilter {
        proof: Some(Proof::None),
        ..filter
    };
    let by = |filter| EventFilter {
        reporter: Some("example.com".to_owned()),
        ..filter
    };
    let about = |filter, keys| EventFilter {
        recipients: vec![RecipientKey::from_bytes([7; 10]); keys],
        ..filter
    };
    for (tenant, filter, steps) in [
        (None, any(), &[place][..]),
        // Nobody but an operator asks for some of all tenants.
        (None, complaints(), &[place]),
        (None, unproven(any()), &[place]),
        (None, by(any()), &[place]),
        (TENANT, any(), &[of_tenant]),
        (TENANT, complaints(), &[of_kind]),
        (TENANT, about(any(), 1), &[recipient]),
        (TENANT, about(unproven(complaints()), 2), &[recipient]),
        (TENANT, about(by(any()), 1), &[recipient]),
    ] {
        let asked = Asked {
            tenant,
            filter: &filter,
        };
        let (sql, _) = asked.behind(&[], 7, 10);
        let plan = plan(&mut tables, &sql).await;
        for by in steps {
            assert!(plan.iter().any(|step| step == by), "{by}: {sql}: {plan:#?}");
        }
        assert!(!plan.iter().any(|step| scans(step, "events")), "{plan:#?}");
        // The page alone is sorted once more, behind the join with the feed's bounds; and what is
        // found of one recipient.
        let sorts = plan.iter().filter(|step| step.contains("TEMP B-TREE"));
        let more = usize::from(!filter.recipients.is_empty());
        assert!(sorts.count() <= 1 + more, "{plan:#?}");
    }
}

#[tokio::test]
async fn events_are_found_where_their_marks_are() {
    let mut tables = tables().await;
    let of_mark = "SEARCH event_marks USING PRIMARY KEY (tenant=? AND mark=? AND part>?)";
    let at_place = "SEARCH events USING INTEGER PRIMARY KEY (rowid=?)";
    let of_kind = Some(EventKind::Complaint);
    for (kind, proof, reporter) in [
        (None, Some(Proof::None), None),
        (of_kind, Some(Proof::None), None),
        (None, None, Some("example.com")),
        (of_kind, None, Some("example.com")),
        (of_kind, Some(Proof::None), Some("example.com")),
    ] {
        let filter = EventFilter {
            kind,
            proof,
            reporter: reporter.map(str::to_owned),
            recipients: Vec::new(),
        };
        let asked = Asked {
            tenant: TENANT,
            filter: &filter,
        };
        let (sql, _) = asked.parts_behind(7);
        let parts = plan(&mut tables, &sql).await;
        assert!(parts.iter().any(|step| step == of_mark), "{parts:#?}");
        assert!(
            !parts.iter().any(|step| scans(step, "event_marks")),
            "{parts:#?}"
        );
        let (sql, _) = asked.behind(&[(7, 20), (30, 50), (60, 70)], 7, 10);
        let events = plan(&mut tables, &sql).await;
        // By either index: a part has few events of one tenant.
        let is_there = |step: &&String| {
            step.contains("SEARCH events USING")
                && step.contains("INDEX events_")
                && step.ends_with("seq>? AND seq<?)")
        };
        assert_eq!(events.iter().filter(is_there).count(), 4, "{events:#?}");
        assert!(events.iter().any(|step| step == at_place), "{events:#?}");
        assert!(
            !events.iter().any(|step| scans(step, "events")),
            "{events:#?}"
        );
    }
}

#[tokio::test]
async fn raw_bytes_are_forgotten_from_the_oldest_on() {
    let mut tables = tables().await;
    let plan = plan(&mut tables, receipts::FORGET_RAW).await;
    assert!(!plan.iter().any(|step| scans(step, "raw")), "{plan:?}");
}
