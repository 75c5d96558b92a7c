//! The MTA-STS policy of the served domains (RFC 8461 §3.2): senders that know it deliver to the MX
//! only over TLS with a certificate that they can verify.

use std::time::Duration;

use http::header::HOST;
use http::{HeaderMap, Uri};

use crate::model::words::words;

/// What names the host of a policy before its domain (RFC 8461 §3.3).
const PREFIX: &str = "mta-sts.";

/// The longest time that a policy may be kept: 31,557,600 s (RFC 8461 §3.2).
pub const LONGEST: Duration = Duration::from_hours(8_766);

words! {
    /// What senders are told to do.
    pub enum Mode as "mode of MTA-STS" {
        /// There is no policy: the answer is 404.
        Off = "off",
        /// The policy is withdrawn: what was kept of it counts no longer.
        None = "none",
        /// What fails is reported, and delivered all the same.
        Testing = "testing",
        /// What fails is not delivered.
        Enforce = "enforce",
    }
}

/// The policy, which is the same for all served domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MtaSts {
    text: String,
}

impl MtaSts {
    /// The policy of domains whose mail goes to `mx`; `None` if there is to be none. Names are in
    /// lower-case A-labels.
    pub fn new(mode: Mode, max_age: Duration, mx: &[&str]) -> Option<Self> {
        if mode == Mode::Off {
            return None;
        }
        let mx: Vec<String> = mx.iter().map(|host| format!("mx: {host}\r\n")).collect();
        let mx = mx.concat();
        let seconds = max_age.min(LONGEST).as_secs();
        Some(Self {
            text: format!("version: STSv1\r\nmode: {mode}\r\n{mx}max_age: {seconds}\r\n"),
        })
    }

    /// The policy, if the host that was asked for is that of a served domain.
    pub(super) fn asked(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        serves: impl Fn(&str) -> bool,
    ) -> Option<&str> {
        let named = headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = uri.host().or(named)?;
        let host = host.split(':').next().unwrap_or_default();
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let domain = host.strip_prefix(PREFIX)?;
        serves(domain).then_some(self.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //
    #[test]
    fn the_policy_is_that_of_its_hosts_alone() {
        let week = Duration::from_hours(168);
        let policy =
            MtaSts::new(Mode::Enforce, week, &["mx1.example.com", "mx2.example.com"]).unwrap();
        let serves = |domain: &str| domain == "fb.example.com";
        let asked = |host: &str| {
            let headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
            let uri = Uri::from_static("/.well-known/mta-sts.txt");
            policy.asked(&uri, &headers, serves).map(str::to_owned)
        };
        let text = "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.com\r\nmx: mx2.example.com\r\nmax_age: 604800\r\n";
        for host in [
            "mta-sts.fb.example.com",
            "MTA-STS.FB.EXAMPLE.COM.",
            "mta-sts.fb.example.com:443",
        ] {
            assert_eq!(asked(host).as_deref(), Some(text), "{host}");
        }
        for host in ["fb.example.com", "mta-sts.example.com", ""] {
            assert_eq!(asked(host), None, "{host}");
        }
        let by_authority =
            Uri::from_static("https://mta-sts.fb.example.com/.well-known/mta-sts.txt");
        assert!(
            policy
                .asked(&by_authority, &HeaderMap::new(), serves)
                .is_some()
        );
        assert!(
            policy
                .asked(&Uri::from_static("/"), &HeaderMap::new(), serves)
                .is_none()
        );
        assert_eq!(MtaSts::new(Mode::Off, week, &[]), None);
        let long = MtaSts::new(Mode::None, Duration::MAX, &[]).unwrap();
        assert_eq!(
            long.text,
            "version: STSv1\r\nmode: none\r\nmax_age: 31557600\r\n"
        );
    }
}
