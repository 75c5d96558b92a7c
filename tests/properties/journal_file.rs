//! The journal's file: whatever stands in it is read, or said to be damaged.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use desist::journal::{Journal, JournalConfig, JournalError};
use desist::model::clock::{Clock, Timestamp};
use desist::model::digest::Digest;
use desist::model::mailbox::{Mailbox, Role};
use desist::model::receipt::{Arrival, Door, Envelope, Receipt, ReceiptId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::runtime::{Builder, Runtime};

use super::world::World;

/// What is replaced, by the input's first octet; beyond them octets of the file itself.
const PLACES: [&str; 9] = [
    "insert into directory_parts (tenant, body) values (1, cast(? as text))",
    "update directory set body = cast(? as text)",
    "update directory set root = ?",
    "update groups set body = ? where seq = 1",
    "update groups set seq = cast(cast(? as text) as integer) where seq = 1",
    "update groups set receipts = cast(cast(? as text) as integer) where seq = 1",
    "insert into partly (seq, done) values (1, cast(? as text))",
    "insert into deaths (seq, deaths) values (1, cast(cast(? as text) as integer))",
    "insert into taken (first, last) values (1, cast(cast(? as text) as integer))",
];

/// A file with a directory and two receipts.
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    runtime().block_on(async {
        let journal = open(&path).await.unwrap();
        journal
            .save_directory(&World::new(&[1, 70_000]).directory)
            .await
            .unwrap();
        for number in 0..2 {
            journal.append(arrival(number)).await.unwrap();
        }
        journal.close().await;
    });
    std::fs::read(path).unwrap()
});

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn open(path: &Path) -> Result<Journal, JournalError> {
    let config = JournalConfig {
        disk_floor: 0,
        ..JournalConfig::default()
    };
    Journal::open(path, config, Clock::system()).await
}

fn arrival(number: u8) -> Arrival {
    let at = Timestamp::from_seconds(1_795_000_000);
    let raw: Arc<[u8]> = Arc::from(vec![number; 100]);
    let receipt = Receipt {
        id: ReceiptId::from_parts(at, &[number; 10]),
        at,
        door: Door::Smtp,
        envelope: envelope(),
        digest: Digest::of(&raw),
    };
    Arrival {
        receipts: vec![receipt],
        raw,
    }
}

fn envelope() -> Envelope {
    Envelope {
        peer: Some([192, 0, 2, 1].into()),
        hello: "mx.example.org".to_owned(),
        protocol: "ESMTPS".to_owned(),
        mail_from: Some(String::new()),
        recipient: "fbl@fb.example.com".to_owned(),
        mailbox: Mailbox {
            address: "fbl@fb.example.com".to_owned(),
            role: Role::Complaint,
            tenant: None,
            stream: None,
        },
        token: None,
        content_type: None,
    }
}

/// Never a panic, and never more than was put in; what is whole beside the damage is given out.
pub(crate) fn check(input: &[u8]) {
    let (place, value) = input.split_first().unwrap_or((&0, b""));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("j.db");
    let place = PLACES.get(usize::from(*place));
    let mut file = GOOD.clone();
    if place.is_none() {
        for change in value.chunks_exact(3) {
            let at = usize::from(change[0]) << 8 | usize::from(change[1]);
            let length = file.len();
            file[at % length] ^= change[2];
        }
    }
    std::fs::write(&path, file).unwrap();
    runtime().block_on(async {
        if let Some(statement) = place {
            put(&path, statement, value).await;
        }
        let Ok(journal) = open(&path).await else {
            assert!(
                place.is_none(),
                "a value in a row does not keep the doors closed"
            );
            return;
        };
        drop(journal.directory().await);
        let mut given = 0;
        // One is whole for certain, unless the file itself is damaged.
        let mut patience = Duration::from_millis(if place.is_some() { 30_000 } else { 20 });
        while let Ok(Ok(entries)) = tokio::time::timeout(patience, journal.take(10, 1000)).await {
            patience = Duration::from_millis(20);
            given += entries.len();
            assert!(given <= 2 || place.is_none(), "{given} receipts");
            assert!(given < 1000, "without end");
        }
        assert!(given >= 1 || place.is_none(), "the other receipt is whole");
        drop(journal.append(arrival(7)).await);
        journal.close().await;
    });
}

async fn put(path: &Path, statement: &'static str, value: &[u8]) {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap();
    // A value that the table refuses changes nothing.
    drop(
        sqlx::query(statement)
            .bind(value.to_vec())
            .execute(&mut connection)
            .await,
    );
    connection.close().await.unwrap();
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let body = "{\"tenants\":[{\"number\":1,\"name\":\"default\",\"domain\":null}],\"streams\":[{\"tenant\":1,\"number\":1,\"name\":\"news\",\"class\":\"marketing\",\"unsubscribe\":false}],\"signing_keys\":[{\"tenant\":1,\"serial\":1,\"state\":\"active\",\"generation\":1}],\"mailboxes\":[]}";
    let place = |number: u8, value: &[u8]| [&[number], value].concat();
    vec![
        place(0, body.as_bytes()),
        place(1, &[7; 32]),
        place(2, &[&[0, 0, 0, 0, 0, 0, 0, 60][..], &[0; 60]].concat()),
        place(3, b"9223372036854775807"),
        place(4, b"-1"),
        place(4, b"9223372036854775807"),
        place(5, b"[1"),
        place(5, b"[2]"),
        place(5, b"[\xff"),
        place(6, b"-1"),
        place(7, b"9223372036854775807"),
        place(200, &[0, 20, 255, 16, 0, 1]),
    ]
}
