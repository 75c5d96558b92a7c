//! A PostgreSQL database of its own for each test.
//!
//! `DESIST_TEST_POSTGRES` is the URL of a server on which databases may be created, or `skip`.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// A database that exists until [`Database::remove`].
#[derive(Debug)]
pub(crate) struct Database {
    /// Its URL.
    pub(crate) url: String,
    server: PgConnectOptions,
    name: String,
}

impl Database {
    /// Makes one; `None` if tests on PostgreSQL are skipped on purpose.
    pub(crate) async fn create() -> Option<Self> {
        let Some(server_url) = server_url() else {
            println!("skipped: DESIST_TEST_POSTGRES=skip");
            return None;
        };
        let server: PgConnectOptions = server_url.parse().unwrap();
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        let name = format!("desist_test_{}", data_encoding::HEXLOWER.encode(&random));
        let sql = format!("create database {name} template template0");
        let mut connection = connect(&server).await;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let url = server.clone().database(&name).to_url_lossy().to_string();
        Some(Self { url, server, name })
    }

    /// Ends all its connections and lets nobody in, as if the server were gone.
    pub(crate) async fn shut(&self) {
        let name = &self.name;
        self.tell(&format!(
            "alter database {name} with allow_connections false"
        ))
        .await;
        self.tell(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
        ))
        .await;
    }

    /// Lets everybody in again.
    pub(crate) async fn open(&self) {
        self.tell(&format!(
            "alter database {} with allow_connections true",
            self.name
        ))
        .await;
    }

    /// Runs a statement inside it.
    pub(crate) async fn run(&self, sql: &str) {
        let inside = self.server.clone().database(&self.name);
        let mut connection = connect(&inside).await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    async fn tell(&self, sql: &str) {
        let mut connection = connect(&self.server).await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// Drops it, whoever is still connected.
    pub(crate) async fn remove(self) {
        let sql = format!("drop database {} with (force)", self.name);
        let mut connection = connect(&self.server).await;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }
}

async fn connect(server: &PgConnectOptions) -> PgConnection {
    let connecting = PgConnection::connect_with(server);
    tokio::time::timeout(Duration::from_secs(30), connecting)
        .await
        .unwrap()
        .unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by the environment"
)]
fn server_url() -> Option<String> {
    match std::env::var("DESIST_TEST_POSTGRES") {
        Ok(url) if url == "skip" => None,
        Ok(url) => Some(url),
        Err(std::env::VarError::NotPresent | std::env::VarError::NotUnicode(_)) => panic!(
            "set DESIST_TEST_POSTGRES to the URL of a PostgreSQL server on which databases may be \
             created, or to `skip`"
        ),
    }
}
