//! Fills a store with suppressions of `reader0@mail.example` and so on, to measure how it starts. The
//! store must be fresh; the rows are written past the feed, so no server may run on it.
//!
//! `cargo run --release --example fill -- sqlite:data/desist.db --entries 10000000`

use std::error::Error;
use std::io::Write as _;

use clap::Parser as _;
use desist::model::address::Address;
use desist::model::clock::Clock;
use desist::model::secret::Secret;
use desist::model::tenant::TenantId;
use desist::store::{Addresses, Store, StoreConfig};
use desist::token::keyring::Keyring;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;

#[derive(Debug, clap::Parser)]
struct Arguments {
    /// `sqlite:PATH` or `postgres://…`
    store: String,
    /// How many
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Suppressions of one statement.
const ROWS: u64 = 100_000;

/// `$1`: recipient keys one behind the other; `$2`: the number of the first; `$3`: how many.
const INSERT: &str = "insert into suppressions
        (tenant, recipient, scope, reason, address, since, evidence, note)
    select 1, substr($1, cast(number * 10 + 1 as integer), 10), 'marketing', 'complaint',
        'reader' || ($2 + number) || '@mail.example', 1795000000000 + number,
        '{\"at\":\"2026-11-21T12:00:00Z\",\"door\":\"smtp\",\"proof\":\"token\",\"reporter\":\
         \"provider.example\",\"sha256\":\
         \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}', null
    from numbers";
const SQLITE: &str = "with recursive numbers (number) as
    (select 0 union all select number + 1 from numbers where number + 1 < $3)";
const POSTGRES: &str = "with numbers (number) as (select generate_series(0, $3 - 1))";

enum Engine {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Engine {
    async fn open(url: &str) -> Result<Self> {
        if url.starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(url).await?;
            // Keys come in no order: without room for their index each would be read from disk.
            let sql = "pragma synchronous = off; pragma cache_size = -4000000";
            sqlx::raw_sql(sql).execute(&mut connection).await?;
            Ok(Self::Sqlite(connection))
        } else {
            Ok(Self::Postgres(PgConnection::connect(url).await?))
        }
    }

    async fn insert(&mut self, keys: Vec<u8>, first: i64, count: i64) -> Result<()> {
        match self {
            Self::Sqlite(connection) => {
                sqlx::query(sqlx::AssertSqlSafe(format!("{SQLITE} {INSERT}")))
                    .bind(keys)
                    .bind(first)
                    .bind(count)
                    .execute(connection)
                    .await?;
            }
            Self::Postgres(connection) => {
                sqlx::query(sqlx::AssertSqlSafe(format!("{POSTGRES} {INSERT}")))
                    .bind(keys)
                    .bind(first)
                    .bind(count)
                    .execute(connection)
                    .await?;
            }
        }
        Ok(())
    }

    async fn close(self) -> Result<()> {
        match self {
            Self::Sqlite(mut connection) => {
                let sql = "pragma wal_checkpoint(truncate)";
                sqlx::raw_sql(sql).execute(&mut connection).await?;
                connection.close().await?;
            }
            Self::Postgres(mut connection) => {
                let sql = "vacuum analyze suppressions";
                sqlx::raw_sql(sql).execute(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut root = [0; 32];
    getrandom::fill(&mut root).map_err(|error| error.to_string())?;
    let config = StoreConfig {
        url: arguments.store.clone(),
        addresses: Addresses::Keep,
        seal_key: None,
    };
    let store = Store::open(&config, Secret::new(root), Clock::system().now()).await?;
    let keys = Keyring::new(&store.directory().await?).address_keys(TenantId::DEFAULT);
    store.close().await;
    let mut engine = Engine::open(&arguments.store).await?;
    let mut first = 0;
    while first < arguments.entries {
        let count = ROWS.min(arguments.entries - first);
        let mut recipients = Vec::new();
        for number in first..first + count {
            let address = Address::parse(&format!("reader{number}@mail.example"))?;
            for key in keys.recipient_keys(&address).take(1) {
                recipients.extend_from_slice(key.as_bytes());
            }
        }
        let (from, rows) = (i64::try_from(first)?, i64::try_from(count)?);
        engine.insert(recipients, from, rows).await?;
        first += count;
    }
    engine.close().await?;
    writeln!(std::io::stdout(), "{first} suppressions")?;
    Ok(())
}
