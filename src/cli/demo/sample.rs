//! The bundled samples: realistic mail of the kinds that arrive, with tokens minted on the spot.

use std::net::SocketAddr;

use super::DemoError;
use crate::cli::door_client::{Delivery, Tls, click, deliver};
use crate::model::address::Address;
use crate::model::receipt::ReceiptId;
use crate::model::tenant::TenantId;
use crate::net::certificate::SELF_MADE_FILE;
use crate::serve::Server;
use crate::token::keyring::Mint;
use crate::token::wire::Use;

/// One thing that the world sends back.
#[derive(Debug)]
pub(super) struct Sample {
    /// What it is, in the table's words.
    pub(super) name: &'static str,
    /// Whom it is about.
    pub(super) address: &'static str,
    /// How it comes in.
    way: Way,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    /// A mail with this envelope and text; `{…}` is filled in.
    Mail {
        from: &'static str,
        to: &'static str,
        text: &'static str,
    },
    /// A POST to this path.
    Click { path: &'static str },
}

/// What the door said.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) answer: String,
    /// The receipt, if it was accepted.
    pub(super) receipt: Option<ReceiptId>,
}

const SAMPLES: &[Sample] = &[
    Sample {
        name: "complaint, recipient removed (JMRP)",
        address: "alice@example.net",
        way: Way::Mail {
            from: "staff@fbl.example",
            to: "fbl@{domain}",
            text: include_str!("jmrp.eml"),
        },
    },
    Sample {
        name: "complaint with address (Yahoo)",
        address: "bob@example.net",
        way: Way::Mail {
            from: "",
            to: "fbl@{domain}",
            text: include_str!("yahoo.eml"),
        },
    },
    Sample {
        name: "unsubscribe mail (Gmail)",
        address: "carol@example.net",
        way: Way::Mail {
            from: "carol@example.net",
            to: "u-{token}@{domain}",
            text: include_str!("gmail.eml"),
        },
    },
    Sample {
        name: "unsubscribe mail (Apple)",
        address: "erin@example.net",
        way: Way::Mail {
            from: "erin@example.net",
            to: "u-{token}@{domain}",
            text: include_str!("apple.eml"),
        },
    },
    Sample {
        name: "one-click POST (Gmail)",
        address: "frank@example.net",
        way: Way::Click { path: "/u/{token}" },
    },
    Sample {
        name: "forged complaint, no token",
        address: "victim@example.net",
        way: Way::Mail {
            from: "staff@fbl.example",
            to: "fbl@{domain}",
            text: include_str!("forged.eml"),
        },
    },
    Sample {
        name: "unsubscribe mail, forged token",
        address: "victim@example.net",
        way: Way::Mail {
            from: "mallory@example.org",
            to: "u-{forged}@{domain}",
            text: include_str!("gmail.eml"),
        },
    },
    Sample {
        name: "one-click POST, forged token",
        address: "victim@example.net",
        way: Way::Click {
            path: "/u/{forged}",
        },
    },
    Sample {
        name: "bounce, no such user",
        address: "heidi@example.net",
        way: Way::Mail {
            from: "",
            to: "b-{bounce}@{domain}",
            text: include_str!("dead.eml"),
        },
    },
    Sample {
        name: "bounce, recipient's filter (docomo)",
        address: "ivan@docomo.ne.jp",
        way: Way::Mail {
            from: "",
            to: "b-{bounce}@{domain}",
            text: include_str!("docomo.eml"),
        },
    },
    Sample {
        name: "bounce, mailbox full",
        address: "judy@example.net",
        way: Way::Mail {
            from: "",
            to: "b-{bounce}@{domain}",
            text: include_str!("full.eml"),
        },
    },
    Sample {
        name: "bounce, our address is on a list",
        address: "mallory@example.net",
        way: Way::Mail {
            from: "",
            to: "b-{bounce}@{domain}",
            text: include_str!("blocked.eml"),
        },
    },
    Sample {
        name: "out of office",
        address: "grace@example.net",
        way: Way::Mail {
            from: "",
            to: "b-{bounce}@{domain}",
            text: include_str!("vacation.eml"),
        },
    },
];

/// The stream of a fresh installation.
const STREAM: u16 = 1;

impl Sample {
    pub(super) const fn all() -> &'static [Self] {
        SAMPLES
    }

    /// Sends it through the real door.
    pub(super) async fn send(&'static self, server: &Server) -> Result<Sent, DemoError> {
        let door = |what: String| DemoError::Door {
            sample: self.name,
            what,
        };
        let fill = Fill::new(server, self.address).map_err(door)?;
        let listening = server.listening();
        match self.way {
            Way::Mail { from, to, text } => {
                let smtp = only(&listening.smtp).map_err(door)?;
                let (to, text) = (fill.fill(to), fill.fill(text));
                let work = move || deliver(smtp.into(), from, &to, &text);
                let delivery = blocking(work).await.map_err(door)?;
                Ok(match delivery.map_err(|error| door(error.to_string()))? {
                    Delivery::Accepted(reply) => {
                        let receipt = reply.split_whitespace().find_map(|word| word.parse().ok());
                        Sent {
                            answer: code(&reply),
                            receipt,
                        }
                    }
                    Delivery::Refused(reply) => Sent {
                        answer: code(&reply),
                        receipt: None,
                    },
                })
            }
            Way::Click { path } => {
                let public = only(&listening.public).map_err(door)?;
                let path = fill.fill(path);
                let certificate = server.data_dir().join(SELF_MADE_FILE);
                let roots = std::fs::read(&certificate).map_err(|error| door(error.to_string()))?;
                let host = "localhost".to_owned();
                let work = move || click(public.into(), &path, &Tls::Trusting { host, roots });
                let status = blocking(work).await.map_err(door)?.map_err(door)?;
                let receipt = if status == 200 {
                    newest(server).await?
                } else {
                    None
                };
                Ok(Sent {
                    answer: status.to_string(),
                    receipt,
                })
            }
        }
    }
}

/// The receipt that came in last: an HTTP answer does not name it.
async fn newest(server: &Server) -> Result<Option<ReceiptId>, DemoError> {
    server.settled().await;
    let app = server
        .app()
        .ok_or_else(|| DemoError::Inside("the API is not ready".to_owned()))?;
    let paging = crate::store::Paging {
        after: None,
        limit: 1,
    };
    let page = app
        .store
        .receipts(None, &crate::store::ReceiptFilter::default(), &paging)
        .await
        .map_err(|error| DemoError::Inside(error.to_string()))?;
    Ok(page.items.first().map(|stored| stored.receipt.id))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| error.to_string())
}

fn only(addresses: &[SocketAddr]) -> Result<SocketAddr, String> {
    addresses
        .first()
        .copied()
        .ok_or_else(|| "no listener".to_owned())
}

/// Reply code and enhanced code.
fn code(reply: &str) -> String {
    reply
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

/// What stands for the `{…}` of a sample.
struct Fill {
    domain: String,
    address: String,
    token: String,
    bounce: String,
    forged: String,
}

impl Fill {
    fn new(server: &Server, address: &str) -> Result<Self, String> {
        let keyring = server.reception().keyring();
        let canonical = Address::parse(address).map_err(|error| error.to_string())?;
        let mint = |purpose| {
            let what = Mint {
                tenant: TenantId::DEFAULT,
                stream: STREAM,
                address: &canonical,
                reference: &[],
                purpose,
            };
            keyring
                .mint(&what)
                .map(|token| token.text)
                .map_err(|error| error.to_string())
        };
        let token = mint(Use::Feedback)?;
        // One letter of the MAC is another one.
        let (head, tail) = token.split_at_checked(40).ok_or("a short token")?;
        let other = if tail.starts_with('x') { "y" } else { "x" };
        let forged = format!("{head}{other}{}", tail.get(1..).unwrap_or_default());
        let domain = server
            .reception()
            .served()
            .domains
            .first()
            .cloned()
            .unwrap_or_default();
        Ok(Self {
            domain,
            address: address.to_owned(),
            token,
            bounce: mint(Use::Bounce)?,
            forged,
        })
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{domain}", &self.domain)
            .replace("{address}", &self.address)
            .replace("{token}", &self.token)
            .replace("{bounce}", &self.bounce)
            .replace("{forged}", &self.forged)
    }
}
