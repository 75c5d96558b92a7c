//! When the next order is due. Pure: times in, times out.

use std::time::Duration;

use super::AcmeError;
use super::attempts::Attempts;
use crate::model::clock::Timestamp;

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

/// The shortest time between two attempts.
pub(super) const LEAST: Duration = Duration::from_mins(2);
/// The longest.
const MOST: Duration = Duration::from_hours(12);
/// The shortest time after an authority has said that it is asked too often.
pub(super) const AFTER_TOO_MANY: Duration = Duration::from_hours(3);

/// The shortest time between a certificate and the next order, whatever an authority issues.
pub(super) const AFTER_SUCCESS: Duration = Duration::from_hours(1);

/// When the next order is due: at once without a certificate, else at two thirds of its lifetime; but
/// not before a failed attempt lets it.
pub(super) fn due(
    now: Timestamp,
    held: Option<Validity>,
    attempts: Option<&Attempts>,
) -> Timestamp {
    let wanted = held.map_or(now, |held| at_part(held, 2, 3));
    let Some(attempts) = attempts else {
        return wanted;
    };
    // A clock that was set back must not keep a certificate from being ordered for years.
    let latest = now.after(MOST.saturating_mul(2));
    wanted.max(attempts.next.min(latest))
}

/// How long to wait after so many failed attempts in a row: twice as long each time, and up to a quarter
/// more, so that not all nodes come together. `chance` is anything.
pub(super) fn backoff(failures: u32, chance: u32) -> Duration {
    let doubled = LEAST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let base = doubled.min(MOST);
    base.saturating_add(base.saturating_mul(chance % 256) / 1024)
}

/// Whether a certificate that could not be renewed has less than a sixth of its lifetime left: half of
/// the time for renewal is over.
pub(super) fn is_late(now: Timestamp, held: Validity) -> bool {
    now >= at_part(held, 5, 6)
}

/// Whether the authority says that it is asked too often (RFC 8555 §6.6).
pub(super) fn is_refused_for_its_rate(error: &AcmeError) -> bool {
    matches!(error, AcmeError::Authority(instant_acme::Error::Api(problem))
        if problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:rateLimited"))
}

fn at_part(held: Validity, part: i64, of: i64) -> Timestamp {
    let lifetime = held
        .until
        .as_millis()
        .saturating_sub(held.from.as_millis())
        .max(0);
    let at = (lifetime / of).saturating_mul(part);
    Timestamp::from_millis(held.from.as_millis().saturating_add(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_seconds(day * 86_400)
    }

    const OF_90_DAYS: Validity = Validity {
        from: Timestamp::from_seconds(0),
        until: Timestamp::from_seconds(90 * 86_400),
    };

    fn tried_until(next: Timestamp) -> Attempts {
        Attempts {
            wanted: String::new(),
            failures: 1,
            next,
        }
    }

    #[test]
    fn the_first_is_due_at_once_and_renewal_at_two_thirds() {
        assert_eq!(due(day(7), None, None), day(7));
        assert_eq!(due(day(7), Some(OF_90_DAYS), None), day(60));
        // Ended long ago, for a server that did not run.
        assert_eq!(due(day(300), Some(OF_90_DAYS), None), day(60));
    }

    #[test]
    fn a_failed_attempt_is_waited_for_also_after_a_restart() {
        let later = day(7).after(LEAST);
        assert_eq!(due(day(7), None, Some(&tried_until(later))), later);
        assert_eq!(
            due(day(61), Some(OF_90_DAYS), Some(&tried_until(day(62)))),
            day(62)
        );
        // What was tried before the certificate came changes nothing.
        assert_eq!(
            due(day(7), Some(OF_90_DAYS), Some(&tried_until(day(8)))),
            day(60)
        );
    }

    #[test]
    fn a_clock_set_back_by_years_delays_an_order_by_a_day_at_most() {
        assert_eq!(due(day(7), None, Some(&tried_until(day(4_000)))), day(8));
    }

    #[test]
    fn attempts_become_rarer_and_never_all_at_once() {
        let minutes = |failures, chance| backoff(failures, chance).as_secs_f64() / 60.0;
        let plain: Vec<f64> = (1..6).map(|failures| minutes(failures, 0)).collect();
        assert_eq!(plain, [2.0, 4.0, 8.0, 16.0, 32.0]);
        assert_eq!(backoff(u32::MAX, 0), MOST);
        for chance in [0, 1, 77, 255, u32::MAX] {
            let waits = backoff(3, chance);
            assert!(waits >= Duration::from_mins(8) && waits < Duration::from_mins(10));
        }
        assert_ne!(backoff(3, 1), backoff(3, 2));
    }

    #[test]
    fn an_alarm_is_for_the_last_sixth() {
        assert!(!is_late(day(74), OF_90_DAYS));
        assert!(is_late(day(75), OF_90_DAYS));
        assert!(is_late(day(91), OF_90_DAYS));
    }
}
