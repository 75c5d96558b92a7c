//! Keeps the certificate by ACME valid, if there is to be one.

use std::sync::{Arc, OnceLock};

use super::doors::Certified;
use super::interior::Interior;
use crate::acme::{External, Keeper, Settings};
use crate::app::App;
use crate::config::Config;
use crate::net::stop::Stop;

/// Begins, if the settings say so, and ends with the doors.
pub(super) fn keep(
    interior: &Interior,
    certified: Certified,
    app: &Arc<OnceLock<App>>,
    stop: &Stop,
) {
    let config = &interior.config;
    if !config.orders_certificates() {
        return;
    }
    let keeper = Keeper {
        settings: settings(config),
        folder: config.data_dir.clone(),
        challenges: certified.challenges,
        served: certified.served,
        clock: interior.clock.clone(),
        metrics: interior.metrics.clone(),
        app: Arc::clone(app),
    };
    stop.spawn(keeper.run(stop.soft().clone()));
}

fn settings(config: &Config) -> Settings {
    let acme = &config.acme;
    let contact =
        |mailbox: &crate::config::MailboxAddress| format!("mailto:{}", mailbox.address().as_str());
    Settings {
        directory: acme.directory.as_str().to_owned(),
        contacts: acme.contact.iter().flatten().map(contact).collect(),
        names: config.acme_names(),
        ca_file: acme.ca_file.clone(),
        external: match (&acme.eab_key_id, &acme.eab_key_file) {
            (Some(id), Some(file)) => Some(External {
                key_id: id.as_str().to_owned(),
                key: file.key().clone(),
            }),
            _ => None,
        },
    }
}
