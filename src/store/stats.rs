//! Sums over the counts.

use super::Store;
use super::counts::Span;
use super::failure::{Failure, StoreError};
use super::paging::{Page, Paging, foreign_cursor};
use super::pool::read;
use super::sql::{Conditions, Row, Value, fetch, values};
use crate::model::bounce::BounceClass;
use crate::model::clock::Timestamp;
use crate::model::event::EventKind;
use crate::model::stream::StreamNumber;
use crate::model::tenant::TenantId;
use crate::model::words::words;

words! {
    /// What sums are told apart by.
    pub enum Dimension as "dimension" {
        /// The hour or the day.
        Time = "time",
        /// The tenant.
        Tenant = "tenant",
        /// The stream.
        Stream = "stream",
        /// Whose server refused, or whose users complain.
        Provider = "provider",
        /// Who reports.
        Reporter = "reporter",
    }
}

impl Dimension {
    const fn column(self) -> &'static str {
        match self {
            Self::Time => "begins",
            Self::Tenant => "tenant",
            Self::Stream => "stream",
            Self::Provider => "provider",
            Self::Reporter => "reporter",
        }
    }

    /// What stands for a dimension that is not told apart.
    const fn nothing(self) -> &'static str {
        match self {
            Self::Time | Self::Tenant | Self::Stream => "0",
            Self::Provider | Self::Reporter => "''",
        }
    }
}

/// Which counts are summed.
#[derive(Debug, Clone)]
pub struct StatsFilter {
    /// Whose; `None`: all, and what belongs to none.
    pub tenant: Option<TenantId>,
    /// Of hours or of days.
    pub span: Span,
    /// Of spans that begin then or later.
    pub since: Timestamp,
    /// Of spans that begin before.
    pub until: Timestamp,
    /// What the sums are told apart by.
    pub by: Vec<Dimension>,
    /// Of this stream alone; 0 is none.
    pub stream: Option<StreamNumber>,
    /// Of this provider alone; empty where none is named.
    pub provider: Option<String>,
    /// Of this reporter alone; empty where none is named.
    pub reporter: Option<String>,
}

/// Sums. A dimension that is not told apart has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// When the hour or the day began.
    pub begins: Option<Timestamp>,
    /// Whose; 0 is nobody's.
    pub tenant: Option<u32>,
    /// Of which stream; 0 is none.
    pub stream: Option<StreamNumber>,
    /// Whose server refused, or whose users complain; empty where none is named.
    pub provider: Option<String>,
    /// Who reports; empty where none is named.
    pub reporter: Option<String>,
    /// Complaints.
    pub complaints: u64,
    /// Complaints that match no recipient.
    pub unmatched_complaints: u64,
    /// Opt-outs.
    pub unsubscribes: u64,
    /// Bounces.
    pub bounces: u64,
    /// The same by class: those that there are.
    pub bounce_classes: Vec<(BounceClass, u64)>,
    /// Mails that have arrived, as far as anybody told.
    pub delivered: u64,
    /// Complaints, opt-outs and bounces that match no recipient.
    pub unmatched: u64,
    /// Events that were held for an operator when they came.
    pub held: u64,
    /// What nobody could read.
    pub unrecognised: u64,
    /// Events of all kinds.
    pub events: u64,
}

/// The columns of one kind's sum.
fn of_kind(column: &str, kinds: &[EventKind]) -> String {
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
    format!(
        "cast(sum(case when kind in ({}) then {column} else 0 end) as bigint)",
        kinds.join(", ")
    )
}

fn sums() -> String {
    let claims = [
        EventKind::Complaint,
        EventKind::Unsubscribe,
        EventKind::Bounce,
    ];
    let mut sums: Vec<String> = [
        ("complaints", of_kind("events", &[EventKind::Complaint])),
        (
            "unmatched_complaints",
            of_kind("unmatched", &[EventKind::Complaint]),
        ),
        ("unsubscribes", of_kind("events", &[EventKind::Unsubscribe])),
        ("bounces", of_kind("events", &[EventKind::Bounce])),
        ("delivered", of_kind("events", &[EventKind::Delivered])),
        (
            "unrecognised",
            of_kind("events", &[EventKind::Unrecognised]),
        ),
        ("unmatched", of_kind("unmatched", &claims)),
        ("held", "cast(sum(held) as bigint)".to_owned()),
        ("events", "cast(sum(events) as bigint)".to_owned()),
    ]
    .map(|(name, sum)| format!("{sum} as {name}_sum"))
    .to_vec();
    sums.extend(BounceClass::ALL.iter().map(|class| {
        format!(
            "cast(sum(case when class = '{class}' then events else 0 end) as bigint) as \"{class}\""
        )
    }));
    sums.join(", ")
}

impl Stats {
    fn of(row: &Row, by: &[Dimension]) -> Result<Self, Failure> {
        let by = |dimension: Dimension| by.contains(&dimension);
        let sum = |name: &str| row.number::<u64>(format!("{name}_sum").as_str());
        let mut bounce_classes = Vec::new();
        for class in BounceClass::ALL {
            let bounces: u64 = row.number(class.as_str())?;
            if bounces > 0 {
                bounce_classes.push((*class, bounces));
            }
        }
        Ok(Self {
            begins: by(Dimension::Time)
                .then(|| row.time("begins"))
                .transpose()?,
            tenant: by(Dimension::Tenant)
                .then(|| row.number("tenant"))
                .transpose()?,
            stream: by(Dimension::Stream)
                .then(|| row.number("stream"))
                .transpose()?,
            provider: by(Dimension::Provider)
                .then(|| row.text("provider"))
                .transpose()?,
            reporter: by(Dimension::Reporter)
                .then(|| row.text("reporter"))
                .transpose()?,
            complaints: sum("complaints")?,
            unmatched_complaints: sum("unmatched_complaints")?,
            unsubscribes: sum("unsubscribes")?,
            bounces: sum("bounces")?,
            bounce_classes,
            delivered: sum("delivered")?,
            unmatched: sum("unmatched")?,
            held: sum("held")?,
            unrecognised: sum("unrecognised")?,
            events: sum("events")?,
        })
    }

    /// Its place among the others.
    fn place(&self) -> [String; 5] {
        let number = |number: Option<i64>| number.unwrap_or_default().to_string();
        [
            number(self.begins.map(Timestamp::as_millis)),
            number(self.tenant.map(i64::from)),
            number(self.stream.map(i64::from)),
            self.provider.clone().unwrap_or_default(),
            self.reporter.clone().unwrap_or_default(),
        ]
    }
}

impl Store {
    /// Sums, in the order of time, tenant, stream, provider and reporter.
    pub async fn stats(
        &self,
        filter: &StatsFilter,
        paging: &Paging,
    ) -> Result<Page<Stats>, StoreError> {
        let mut those = Conditions::behind(values![paging.rows()]);
        those.equal("span", filter.span.as_str());
        those.beyond("(begins) >=", values![filter.since]);
        those.beyond("(begins) <", values![filter.until]);
        if let Some(tenant) = filter.tenant {
            those.equal("tenant", tenant);
        }
        if let Some(stream) = filter.stream {
            those.equal("stream", stream);
        }
        for (column, name) in [
            ("provider", &filter.provider),
            ("reporter", &filter.reporter),
        ] {
            if let Some(name) = name {
                those.equal(column, name.as_str());
            }
        }
        let by: Vec<Dimension> = Dimension::ALL
            .iter()
            .copied()
            .filter(|dimension| filter.by.contains(dimension))
            .collect();
        let columns: Vec<&str> = by.iter().map(|dimension| dimension.column()).collect();
        let columns = columns.join(", ");
        if let Some(place) = paging.cursor::<5>()?
            && !by.is_empty()
        {
            those.beyond(&format!("({columns}) >"), behind(&by, &place)?);
        }
        let shown: Vec<String> = Dimension::ALL
            .iter()
            .map(|dimension| {
                let column = dimension.column();
                if by.contains(dimension) {
                    column.to_owned()
                } else {
                    format!("{} as {column}", dimension.nothing())
                }
            })
            .collect();
        let grouped = if by.is_empty() {
            // A sum over nothing is no row.
            "having count(*) > 0".to_owned()
        } else {
            format!("group by {columns} order by {columns}")
        };
        let sql = format!(
            "select {}, {} from counts {} {grouped} limit $1",
            shown.join(", "),
            sums(),
            those.to_where()
        );
        let rows = read!(self.pool, |conn| fetch(conn, "counts", sql, those.values)
            .await)?;
        let items = rows
            .iter()
            .map(|row| Stats::of(row, &by))
            .collect::<Result<_, _>>()?;
        Ok(paging.page(items, Stats::place))
    }
}

/// The values of a cursor that the columns are compared with.
fn behind(by: &[Dimension], place: &[String; 5]) -> Result<Vec<Value>, StoreError> {
    let fields = Dimension::ALL.iter().zip(place);
    let mut values = Vec::new();
    for (dimension, field) in fields.filter(|(dimension, _)| by.contains(dimension)) {
        values.push(match dimension {
            Dimension::Time | Dimension::Tenant | Dimension::Stream => {
                let number: i64 = field.parse().map_err(|_no_number| foreign_cursor())?;
                number.into()
            }
            Dimension::Provider | Dimension::Reporter => field.as_str().into(),
        });
    }
    Ok(values)
}
