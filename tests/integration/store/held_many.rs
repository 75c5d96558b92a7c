//! Holds that are decided together by a filter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use desist::model::event::{EventKind, HoldReason};
use desist::model::receipt::ReceiptState;
use desist::model::tenant::TenantId;
use desist::store::{Decision, HeldDecision, HeldFilter, HeldPage, Paging, Store, Verdict};
use tokio::task::JoinSet;

use super::world::{HOLD, NOW, TENANT, World, recipient_key, standing};

/// A held complaint of that reporter.
fn held(world: &World, recipient: u64, reporter: &str) -> Verdict {
    let mut verdict = world.verdict(recipient, &[HOLD]);
    verdict.events[0].kind = EventKind::Complaint;
    verdict.events[0].detail.reporter = Some(reporter.to_owned());
    verdict
}

fn of(reporter: &str) -> HeldFilter {
    HeldFilter {
        reporter: Some(reporter.to_owned()),
        ..HeldFilter::default()
    }
}

const fn approval(filter: &HeldFilter) -> HeldDecision<'_> {
    HeldDecision {
        tenant: Some(TENANT),
        filter,
        decision: Decision::Approved,
        note: "they are genuine",
        after: None,
        dry_run: false,
    }
}

const fn dismissal(filter: &HeldFilter) -> HeldDecision<'_> {
    HeldDecision {
        decision: Decision::Dismissed,
        ..approval(filter)
    }
}

/// All pages.
async fn all(store: &Store, what: HeldDecision<'_>) -> HeldPage {
    let mut total = HeldPage::default();
    let mut after = what.after;
    loop {
        let page = store
            .decide_held(HeldDecision { after, ..what }, NOW)
            .await
            .unwrap();
        total.decided += page.decided;
        total.nameless += page.nameless;
        total.seq = page.seq.or(total.seq);
        if page.next.is_none() {
            return total;
        }
        after = page.next;
    }
}

async fn waiting(store: &Store) -> usize {
    let paging = Paging {
        after: None,
        limit: 1000,
    };
    store.held(None, None, &paging).await.unwrap().items.len()
}

pub(super) async fn a_filter_decides_what_it_finds_and_nothing_else(world: &World) {
    let store = world.open().await;
    let mut batch = vec![
        held(world, 1, "fbl.provider.example"),
        held(world, 2, "provider.example"),
        held(world, 3, "other.example"),
        held(world, 4, "unlike-provider.example"),
    ];
    batch[2].events[0].detail.user_agent = Some("Provider.Example".to_owned());
    batch[3].events[0].kind = EventKind::Bounce;
    let ids: Vec<_> = batch.iter().map(|verdict| verdict.receipt.id).collect();
    store.record(&batch, NOW).await.unwrap();

    let filter = of("PROVIDER.example");
    let dry = HeldDecision {
        dry_run: true,
        ..approval(&filter)
    };
    assert_eq!(all(&store, dry).await.decided, 3);
    assert_eq!((waiting(&store).await, standing(&store).await), (4, vec![]));

    let page = all(&store, approval(&filter)).await;
    assert_eq!((page.decided, page.nameless), (3, 0));
    assert_eq!(page.seq, Some(store.head().await.unwrap().seq));
    let stored = store
        .suppressions_of(
            TENANT,
            &[recipient_key(1), recipient_key(2), recipient_key(3)],
        )
        .await
        .unwrap();
    assert_eq!(stored.len(), 3);
    for one in &stored {
        assert_eq!(one.note.as_deref(), Some("they are genuine"));
        assert_eq!(one.evidence["proof"], "operator");
    }
    let states: Vec<ReceiptState> = {
        let mut states = Vec::new();
        for id in ids {
            states.push(store.receipt(id).await.unwrap().unwrap().0.state);
        }
        states
    };
    let (done, held) = (ReceiptState::Done, ReceiptState::Held);
    assert_eq!(states, [done, done, done, held]);
    // Once more changes nothing.
    assert_eq!(all(&store, approval(&filter)).await, HeldPage::default());

    let bounces = HeldFilter {
        kind: Some(EventKind::Bounce),
        because: Some(HoldReason::RevokedKey),
        ..HeldFilter::default()
    };
    assert_eq!(all(&store, dismissal(&bounces)).await.decided, 0);
    let bounces = HeldFilter {
        because: None,
        ..bounces
    };
    assert_eq!(all(&store, dismissal(&bounces)).await.decided, 1);
    assert_eq!(standing(&store).await.len(), 3);
    assert_eq!(waiting(&store).await, 0);

    let noteless = HeldDecision {
        note: " ",
        ..approval(&filter)
    };
    assert!(store.decide_held(noteless, NOW).await.is_err());
}

pub(super) async fn a_window_and_a_tenant_bound_what_is_decided(world: &World) {
    let store = world.open().await;
    let hour = Duration::from_hours(1);
    let at = |number: u32| NOW.after(hour * number);
    let mut batch: Vec<_> = (0..6)
        .map(|number| held(world, number, "a.example"))
        .collect();
    for (number, verdict) in (0..).zip(&mut batch) {
        let id = world.id_at(at(number));
        verdict.receipt.id = id;
        verdict.receipt.at = at(number);
        verdict.events[0].id.receipt = id;
    }
    let other = TenantId::new(2).unwrap();
    batch[3].events[0].tenant = Some(other);
    batch[4].events[0].tenant = None;
    store.record(&batch, NOW).await.unwrap();
    let window = HeldFilter {
        since: Some(at(1)),
        until: Some(at(5)),
        ..HeldFilter::default()
    };
    // 1 and 2: 3 is another's, 4 is nobody's.
    assert_eq!(all(&store, approval(&window)).await.decided, 2);
    let everywhere = HeldDecision {
        tenant: None,
        ..approval(&window)
    };
    let done = all(&store, everywhere).await;
    assert_eq!(
        (done.decided, done.nameless),
        (1, 1),
        "nobody's names nobody"
    );
    let dismissed = HeldDecision {
        tenant: None,
        ..dismissal(&window)
    };
    assert_eq!(all(&store, dismissed).await.decided, 1);
    assert_eq!(waiting(&store).await, 2, "0 and 5 are outside");
}

// What an approval cannot act on is left and counted, not lost.
pub(super) async fn what_names_nobody_is_left_by_an_approval(world: &World) {
    let store = world.open().await;
    let mut batch = vec![held(world, 1, "a.example"), held(world, 2, "a.example")];
    batch[0].events[0].recipient = None;
    store.record(&batch, NOW).await.unwrap();
    let done = all(&store, approval(&of("a.example"))).await;
    assert_eq!((done.decided, done.nameless), (1, 1));
    assert_eq!(waiting(&store).await, 1);
}

pub(super) async fn many_are_decided_page_by_page(world: &World) {
    let store = world.open().await;
    let batch: Vec<_> = (0..1_200)
        .map(|number| {
            let reporter = ["a.example", "b.example"][usize::try_from(number % 2).unwrap()];
            held(world, number, reporter)
        })
        .collect();
    store.record(&batch, NOW).await.unwrap();
    let filter = of("b.example");
    let first = store.decide_held(approval(&filter), NOW).await.unwrap();
    assert_eq!(first.decided, 250, "a call looks at 500");
    assert_eq!(first.next, Some(batch[499].events[0].id));
    assert_eq!(all(&store, approval(&filter)).await.decided, 350);
    assert_eq!(standing(&store).await.len(), 600);
    assert_eq!(waiting(&store).await, 600);
}

// Two nodes that decide the same at the same time decide each once.
pub(super) async fn two_nodes_decide_each_hold_once(world: &World) {
    let batch: Vec<_> = (0..900)
        .map(|number| held(world, number, "a.example"))
        .collect();
    world.open().await.record(&batch, NOW).await.unwrap();
    let filter = Arc::new(of("a.example"));
    let mut nodes = JoinSet::new();
    for decision in [Decision::Approved, Decision::Dismissed, Decision::Approved] {
        let (store, filter) = (world.open().await, Arc::clone(&filter));
        nodes.spawn(async move {
            let what = HeldDecision {
                decision,
                ..approval(&filter)
            };
            (decision, all(&store, what).await.decided)
        });
    }
    let (mut decided, mut approved) = (0, 0);
    while let Some(done) = nodes.join_next().await {
        let (decision, count) = done.unwrap();
        decided += count;
        approved += if decision == Decision::Approved {
            count
        } else {
            0
        };
    }
    assert_eq!(decided, 900);
    let store = world.open().await;
    let stand = standing(&store).await;
    assert_eq!(u64::try_from(stand.len()).unwrap(), approved);
    assert_eq!(stand.iter().collect::<BTreeSet<_>>().len(), stand.len());
    assert_eq!(waiting(&store).await, 0);
}
