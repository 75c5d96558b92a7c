//! One order, from its names to the certificate (RFC 8555 §7.4).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use zeroize::Zeroizing;

use super::{AcmeError, Keeper};
use crate::model::digest::Digest;
use crate::net::challenge::Answered;

/// How long, and how often, the authority is asked how far it is.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_mins(2));

impl Keeper {
    /// Chain and key in PEM.
    pub(super) async fn order(&self) -> Result<Zeroizing<String>, AcmeError> {
        let account = self.account().await?;
        let ordered = self.order_of(&account).await;
        if let Err(AcmeError::Authority(Error::Api(problem))) = &ordered
            && problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:accountDoesNotExist")
        {
            self.forget_account().await;
        }
        ordered
    }

    async fn order_of(&self, account: &Account) -> Result<Zeroizing<String>, AcmeError> {
        let names = self.settings.names.iter().cloned();
        let names: Vec<Identifier> = names.map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        // They are answered until the authority has looked.
        let answered = self.answer(&mut order).await?;
        let looked = order.poll_ready(&PATIENCE).await;
        drop(answered);
        match looked {
            Ok(OrderStatus::Ready) => {}
            Ok(_) | Err(Error::Api(_)) => return Err(refusal(&mut order).await),
            Err(error) => return Err(error.into()),
        }
        let (request, key) = self.request().map_err(AcmeError::Request)?;
        order.finalize_csr(&request).await?;
        let chain = order.poll_certificate(&PATIENCE).await?;
        Ok(Zeroizing::new(format!("{}\n{}", chain.trim_end(), *key)))
    }

    /// Prepares the answer to what the authority will ask about each name, and tells it to ask.
    async fn answer(&self, order: &mut Order) -> Result<Vec<Answered>, AcmeError> {
        let mut answered = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            // It remembers for a while what it has seen.
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let name = authorization.identifier().to_string();
            let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
            let Some(mut challenge) = challenge else {
                return Err(AcmeError::NoWay(name));
            };
            let digest = Digest::of(challenge.key_authorization().as_str().as_bytes());
            answered.push(self.challenges.answer(&name, &digest)?);
            challenge.set_ready().await?;
        }
        Ok(answered)
    }

    /// A request for a certificate with a new key: both in DER and PEM.
    fn request(&self) -> Result<(Vec<u8>, Zeroizing<String>), rcgen::Error> {
        let mut params = CertificateParams::new(self.settings.names.clone())?;
        params.distinguished_name = DistinguishedName::new();
        let key = KeyPair::generate()?;
        let request = params.serialize_request(&key)?;
        Ok((request.der().to_vec(), Zeroizing::new(key.serialize_pem())))
    }
}

/// Which name was not found to be ours, and why, as far as the authority says.
async fn refusal(order: &mut Order) -> AcmeError {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        if state.status != AuthorizationStatus::Invalid {
            continue;
        }
        let name = state.identifier().to_string();
        let problem = state.challenges.iter().find_map(|one| one.error.as_ref());
        let why = problem.map_or_else(|| "it does not say why".to_owned(), ToString::to_string);
        return AcmeError::NotOurs { name, why };
    }
    AcmeError::Invalid
}
