//! The session between commands: what each one does.

use super::{Hello, Output, Phase, Session};
use crate::model::clock::Tick;
use crate::smtp::bdat::{Announced, Chunk};
use crate::smtp::command::{Command, CommandError, Mail};
use crate::smtp::data::Scanner;
use crate::smtp::gate::Gate;
use crate::smtp::input::Line;
use crate::smtp::path::Path;
use crate::smtp::reply::{self, Reply};
use crate::smtp::transaction::Transaction;

/// The first octet of a TLS record that begins a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

impl Session {
    /// Takes one command line; `false` if there is none.
    pub(super) fn read_command(&mut self, now: Tick, gate: &dyn Gate) -> bool {
        if matches!(self.phase, Phase::Fresh) {
            match self.input.rest().first() {
                None => return false,
                Some(&TLS_HANDSHAKE) => self.end(Reply::NotSmtp, gate),
                Some(_) => self.phase = Phase::Command,
            }
            return true;
        }
        let Some(line) = self.input.line(self.settings.limits.line) else {
            return false;
        };
        self.times.command = now;
        let command = match &line {
            Line::Whole(line) => Command::parse(line, &self.settings.limits).map_err(Some),
            Line::TooLong => Err(None),
        };
        match command {
            Ok(Command::Quit) => self.end(Reply::Bye, gate),
            Err(Some(CommandError::NotSmtp)) => self.end(Reply::NotSmtp, gate),
            Err(Some(CommandError::BadChunk)) => self.end(Reply::BadArguments, gate),
            Ok(Command::Bdat(announced)) => self.bdat(announced, now),
            _ if matches!(self.phase, Phase::Refused) => self.answer(Reply::WrongOrder, gate),
            Ok(command) => self.obey(command, now, gate),
            Err(Some(error)) => self.answer(error.into(), gate),
            Err(None) => self.answer(Reply::LineTooLong, gate),
        }
        true
    }

    fn obey(&mut self, command: Command, now: Tick, gate: &dyn Gate) {
        let junk = matches!(
            command,
            Command::Ehlo(_)
                | Command::Helo(_)
                | Command::Help
                | Command::Noop
                | Command::Rset
                | Command::Vrfy
        );
        if junk && !self.bears_junk(gate) {
            return;
        }
        let reply = match command {
            Command::Data => self.data(now),
            Command::Ehlo(name) => {
                return self.hello(
                    Hello {
                        name,
                        extended: true,
                    },
                    gate,
                );
            }
            Command::Helo(name) => {
                return self.hello(
                    Hello {
                        name,
                        extended: false,
                    },
                    gate,
                );
            }
            Command::Help => Reply::Help,
            Command::Mail(mail) => self.mail(mail, now, gate),
            Command::Noop => Reply::Done,
            Command::Rcpt(path) => self.rcpt(&path, gate),
            Command::Rset => {
                self.reset(gate);
                Reply::Done
            }
            Command::StartTls => return self.start_tls(gate),
            // Whether a mailbox exists is not told (RFC 5321 §7.3).
            Command::Vrfy => Reply::CannotVerify,
            Command::Bdat(announced) => return self.bdat(announced, now),
            Command::Quit => return self.end(Reply::Bye, gate),
        };
        self.answer(reply, gate);
    }

    /// EHLO and HELO also end a transaction (RFC 5321 §4.1.4).
    fn hello(&mut self, hello: Hello, gate: &dyn Gate) {
        self.reset(gate);
        let settings = &self.settings;
        let text = if hello.extended {
            let starttls = settings.starttls && !self.secured;
            reply::ehlo(&settings.hostname, &settings.limits, starttls)
        } else {
            reply::helo(&settings.hostname)
        };
        self.write(&text);
        self.hello = Some(hello);
    }

    fn mail(&mut self, mail: Mail, now: Tick, gate: &dyn Gate) -> Reply {
        if self.hello.is_none() || self.transaction.is_some() {
            return Reply::WrongOrder;
        }
        let declared = mail.size.unwrap_or(0);
        if declared > self.settings.limits.message {
            return Reply::MessageTooBig;
        }
        // A shortage that can be seen is told before the message is sent (RFC 5321 §4.2.5).
        if let Err(shortage) = gate.admits() {
            return shortage.into();
        }
        self.transaction = Some(Transaction {
            since: now,
            mail_from: mail
                .path
                .map_or_else(String::new, |path| path.as_str().to_owned()),
            utf8: mail.utf8,
            declared,
            recipients: Vec::new(),
            accepted: 0,
            content: None,
            begun: None,
        });
        Reply::SenderTaken
    }

    fn rcpt(&mut self, path: &Path, gate: &dyn Gate) -> Reply {
        let limits = &self.settings.limits;
        let Some(transaction) = self.transaction.as_mut().filter(|t| t.content.is_none()) else {
            return Reply::WrongOrder;
        };
        if !path.is_ascii() && !transaction.utf8 {
            return Reply::RecipientNeedsUtf8;
        }
        if transaction.accepted >= limits.recipients {
            return Reply::TooManyRecipients;
        }
        let accepted = match gate.recipient(path) {
            Ok(accepted) => accepted,
            Err(refusal) => return refusal.into(),
        };
        if transaction.declared > limits.of_role(accepted.mailbox.role) {
            return Reply::MessageTooBig;
        }
        transaction.add(path.as_str().to_owned(), accepted);
        Reply::RecipientTaken
    }

    fn data(&mut self, now: Tick) -> Reply {
        let limits = &self.settings.limits;
        let ready = |t: &&mut Transaction| t.content.is_none() && !t.recipients.is_empty();
        let Some(transaction) = self.transaction.as_mut().filter(ready) else {
            return Reply::WrongOrder;
        };
        transaction.content(limits);
        transaction.begun = Some(now);
        self.phase = Phase::Data(Scanner::new());
        self.begin_content(now);
        Reply::SendData
    }

    /// The octets of a chunk follow whether it is wanted or not (RFC 3030 §2).
    fn bdat(&mut self, announced: Announced, now: Tick) {
        let transaction = self
            .transaction
            .as_mut()
            .filter(|t| !t.recipients.is_empty());
        let wanted = transaction.is_some();
        if let Some(transaction) = transaction {
            transaction.content(&self.settings.limits);
            transaction.begun.get_or_insert(now);
        }
        let refused = matches!(self.phase, Phase::Refused);
        self.phase = Phase::Chunk(Chunk::new(announced, wanted && !refused));
        self.begin_content(now);
    }

    fn begin_content(&mut self, now: Tick) {
        self.times.input = now;
        self.times.content = now;
        self.times.octets = 0;
    }

    fn start_tls(&mut self, gate: &dyn Gate) {
        if self.secured {
            return self.answer(Reply::WrongOrder, gate);
        }
        if !self.settings.starttls {
            return self.answer(Reply::NotOffered, gate);
        }
        // What was sent together with STARTTLS must not be taken for something that came inside
        // TLS, and may not be dropped silently either (RFC 3207 §4.2, RFC 2920 §3.2).
        if !self.input.rest().is_empty() {
            return self.end(Reply::PlaintextBehindStartTls, gate);
        }
        self.reset(gate);
        self.write(Reply::ReadyForTls.line());
        self.phase = Phase::Handshake;
        self.outputs.push_back(Output::StartTls);
    }
}

impl From<CommandError> for Reply {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::BadArguments | CommandError::BadChunk => Self::BadArguments,
            CommandError::NotOffered => Self::NotOffered,
            CommandError::NotSmtp => Self::NotSmtp,
            CommandError::SenderNeedsUtf8 => Self::SenderNeedsUtf8,
            CommandError::UnknownCommand => Self::UnknownCommand,
            CommandError::UnknownParameter => Self::UnknownParameter,
        }
    }
}
