//! The words of bounces: what became of a mail for one recipient, and why.

use super::words::words;

words! {
    /// What became of a recipient's mail (RFC 3464 §2.3.3). The order is that of gravity, gravest
    /// first.
    pub enum Action as "action" {
        /// It will not be delivered.
        Failed = "failed",
        /// It is still tried.
        Delayed = "delayed",
        /// It was delivered.
        Delivered = "delivered",
        /// It went on to where no notifications exist.
        Relayed = "relayed",
        /// It was delivered and went on to several.
        Expanded = "expanded",
    }
}

words! {
    /// Why a mail was not delivered. Only the first six are about the recipient's address or
    /// mailbox.
    pub enum BounceClass as "class" {
        /// Nobody is at that address.
        BadMailbox = "bad-mailbox",
        /// The domain does not exist.
        BadDomain = "bad-domain",
        /// The recipient has another address now, or another person has this one.
        Moved = "moved",
        /// The domain says that it takes no mail (RFC 7505).
        NullMx = "null-mx",
        /// The mailbox exists, but is closed or disused.
        Inactive = "inactive",
        /// The mailbox holds no more.
        MailboxFull = "mailbox-full",
        /// The recipient's own filter refused it.
        Filtered = "filtered",
        /// The mail is larger than is taken.
        MessageTooBig = "message-too-big",
        /// What the mail holds, or its form, was refused.
        Content = "content",
        /// The sender, its network or its links have a bad name.
        Reputation = "reputation",
        /// SPF, DKIM, DMARC or a login failed.
        Authentication = "authentication",
        /// Too many mails, recipients or connections.
        RateLimited = "rate-limited",
        /// A virus was found.
        Virus = "virus",
        /// The server does not take mail for that domain.
        Relaying = "relaying",
        /// No connection, no answer, no route.
        Network = "network",
        /// It was tried for too long.
        Expired = "expired",
        /// The receiving system is at fault.
        System = "system",
        /// Nothing says why.
        Undetermined = "undetermined",
    }
}

words! {
    /// What a bounce means for the address.
    pub enum Severity as "severity" {
        /// The address is dead: one such bounce is enough.
        Hard = "hard",
        /// It counts against the address; several over time mean that it is dead.
        Soft = "soft",
        /// It says nothing about the address.
        None = "none",
    }
}

words! {
    /// At which step of the SMTP dialogue a refusal came.
    pub enum Stage as "stage" {
        /// When connecting, or at the greeting.
        Connect = "connect",
        /// EHLO or HELO.
        Ehlo = "ehlo",
        /// STARTTLS or the TLS handshake.
        Tls = "tls",
        /// AUTH.
        Auth = "auth",
        /// MAIL FROM.
        Mail = "mail",
        /// RCPT TO.
        Rcpt = "rcpt",
        /// DATA, before the content.
        Data = "data",
        /// The end of the content.
        EndOfData = "end-of-data",
    }
}
