//! Command lines (RFC 5321 §4.1), read into types or refused with the rule that they broke.

use super::bdat::Announced;
use super::limits::Limits;
use super::path::Path;

/// A well-formed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Bdat(Announced),
    Data,
    Ehlo(String),
    Helo(String),
    Help,
    Mail(Mail),
    Noop,
    Quit,
    Rcpt(Path),
    Rset,
    StartTls,
    Vrfy,
}

/// The arguments of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Mail {
    /// `None` for `<>`.
    pub(super) path: Option<Path>,
    /// `SIZE=`; `u64::MAX` if it is larger than that.
    pub(super) size: Option<u64>,
    /// Whether `SMTPUTF8` was given.
    pub(super) utf8: bool,
}

/// Which rule a command line broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CommandError {
    #[error("arguments that the grammar does not know")]
    BadArguments,
    #[error("a chunk whose length is not known")]
    BadChunk,
    #[error("a command that is not offered")]
    NotOffered,
    #[error("another protocol")]
    NotSmtp,
    #[error("a reverse-path that needs SMTPUTF8")]
    SenderNeedsUtf8,
    #[error("a command that nobody knows")]
    UnknownCommand,
    #[error("a parameter that no extension offers")]
    UnknownParameter,
}

impl Command {
    /// Reads a line without its CRLF.
    pub(super) fn parse(line: &[u8], limits: &Limits) -> Result<Self, CommandError> {
        let line = line.trim_ascii_end();
        let end = line
            .iter()
            .position(|&byte| byte == b' ')
            .unwrap_or(line.len());
        let (verb, rest) = line.split_at_checked(end).unwrap_or((line, b""));
        let verb = Verb::of(verb)?;
        let argument = std::str::from_utf8(rest)
            .ok()
            .filter(|text| !text.bytes().any(|byte| byte.is_ascii_control()))
            .map(|text| text.strip_prefix(' ').unwrap_or(text));
        let Some(argument) = argument else {
            return Err(match verb {
                Verb::Bdat => CommandError::BadChunk,
                _ => CommandError::BadArguments,
            });
        };
        verb.read(argument, limits)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Bdat,
    Data,
    Ehlo,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
}

impl Verb {
    fn of(verb: &[u8]) -> Result<Self, CommandError> {
        match verb.to_ascii_uppercase().as_slice() {
            b"BDAT" => Ok(Self::Bdat),
            b"DATA" => Ok(Self::Data),
            b"EHLO" => Ok(Self::Ehlo),
            b"HELO" => Ok(Self::Helo),
            b"HELP" => Ok(Self::Help),
            b"MAIL" => Ok(Self::Mail),
            b"NOOP" => Ok(Self::Noop),
            b"QUIT" => Ok(Self::Quit),
            b"RCPT" => Ok(Self::Rcpt),
            b"RSET" => Ok(Self::Rset),
            b"STARTTLS" => Ok(Self::StartTls),
            b"VRFY" => Ok(Self::Vrfy),
            b"ATRN" | b"AUTH" | b"BURL" | b"ETRN" | b"EXPN" | b"SAML" | b"SEND" | b"SOML"
            | b"TURN" => Err(CommandError::NotOffered),
            b"CONNECT" | b"DELETE" | b"GET" | b"HEAD" | b"OPTIONS" | b"PATCH" | b"POST"
            | b"PRI" | b"PUT" | b"TRACE" => Err(CommandError::NotSmtp),
            _ => Err(CommandError::UnknownCommand),
        }
    }

    fn read(self, argument: &str, limits: &Limits) -> Result<Command, CommandError> {
        // Commands without argument refuse one (RFC 5321 §4.3.2, RFC 3207 §4).
        let alone = |command| {
            let alone = argument.trim_ascii().is_empty();
            alone.then_some(command).ok_or(CommandError::BadArguments)
        };
        match self {
            Self::Bdat => Announced::parse(argument)
                .map(Command::Bdat)
                .ok_or(CommandError::BadChunk),
            Self::Data => alone(Command::Data),
            Self::Ehlo => hello(argument, limits).map(Command::Ehlo),
            Self::Helo => hello(argument, limits).map(Command::Helo),
            Self::Help => Ok(Command::Help),
            Self::Mail => mail(argument, limits).map(Command::Mail),
            Self::Noop => Ok(Command::Noop),
            Self::Quit => alone(Command::Quit),
            Self::Rcpt => rcpt(argument, limits).map(Command::Rcpt),
            Self::Rset => alone(Command::Rset),
            Self::StartTls => alone(Command::StartTls),
            Self::Vrfy if argument.trim_ascii().is_empty() => Err(CommandError::BadArguments),
            Self::Vrfy => Ok(Command::Vrfy),
        }
    }
}

/// Whatever a client calls itself is taken: nothing depends on it (RFC 5321 §4.1.4).
fn hello(argument: &str, limits: &Limits) -> Result<String, CommandError> {
    let name = argument.trim_ascii();
    let kept = name.floor_char_boundary(limits.hello);
    match name.get(..kept) {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(CommandError::BadArguments),
    }
}

fn mail(argument: &str, limits: &Limits) -> Result<Mail, CommandError> {
    let (path, rest) = keyword_path(argument, "FROM:", limits)?;
    let (mut size, mut body, mut utf8) = (None, None, None);
    for parameter in parameters(rest)? {
        match (parameter.name.as_str(), parameter.value) {
            ("SIZE", Some(value)) => once(&mut size, declared_size(value))?,
            ("BODY", Some(value)) => once(&mut body, known_body(value))?,
            ("SMTPUTF8", None) => once(&mut utf8, Some(()))?,
            ("SIZE" | "BODY" | "SMTPUTF8", _) => return Err(CommandError::BadArguments),
            _ => return Err(CommandError::UnknownParameter),
        }
    }
    let utf8 = utf8.is_some();
    if !utf8 && path.as_ref().is_some_and(|path| !path.is_ascii()) {
        return Err(CommandError::SenderNeedsUtf8);
    }
    Ok(Mail { path, size, utf8 })
}

fn rcpt(argument: &str, limits: &Limits) -> Result<Path, CommandError> {
    let (path, rest) = keyword_path(argument, "TO:", limits)?;
    let path = path.ok_or(CommandError::BadArguments)?;
    // No extension that is offered has a parameter here.
    if !parameters(rest)?.is_empty() {
        return Err(CommandError::UnknownParameter);
    }
    Ok(path)
}

/// `FROM:<path>` or `TO:<path>`. Old senders put a space behind the colon.
fn keyword_path<'a>(
    argument: &'a str,
    keyword: &str,
    limits: &Limits,
) -> Result<(Option<Path>, &'a str), CommandError> {
    let (found, rest) = argument
        .trim_ascii_start()
        .split_at_checked(keyword.len())
        .ok_or(CommandError::BadArguments)?;
    if !found.eq_ignore_ascii_case(keyword) {
        return Err(CommandError::BadArguments);
    }
    Path::parse(rest.trim_ascii_start(), limits).ok_or(CommandError::BadArguments)
}

struct Parameter<'a> {
    /// Upper-case.
    name: String,
    value: Option<&'a str>,
}

/// ` NAME` and ` NAME=value` (RFC 5321 §4.1.2).
fn parameters(text: &str) -> Result<Vec<Parameter<'_>>, CommandError> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(CommandError::BadArguments);
    }
    let words = text.split(' ').filter(|word| !word.is_empty());
    words
        .map(|word| {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word, None),
            };
            let named = name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            let valued = value.is_none_or(|value| !value.is_empty() && !value.contains('='));
            let parameter = Parameter {
                name: name.to_ascii_uppercase(),
                value,
            };
            (named && valued)
                .then_some(parameter)
                .ok_or(CommandError::BadArguments)
        })
        .collect()
}

/// A parameter may stand once and must have a known value (RFC 3461 §5.1, RFC 1870 §6).
fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Result<(), CommandError> {
    match (&slot, value) {
        (None, Some(value)) => {
            *slot = Some(value);
            Ok(())
        }
        _ => Err(CommandError::BadArguments),
    }
}

/// 1 to 20 digits (RFC 1870 §3).
fn declared_size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

/// RFC 6152 §2. `BINARYMIME` is not offered.
fn known_body(value: &str) -> Option<()> {
    ["7BIT", "8BITMIME"]
        .iter()
        .any(|known| value.eq_ignore_ascii_case(known))
        .then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes(), &Limits::default())
    }

    #[test]
    fn knows_every_command_in_any_case() {
        //
        let ehlo = |name: &str| Ok(Command::Ehlo(name.to_owned()));
        for (line, expected) in [
            ("NOOP", Ok(Command::Noop)),
            ("noop  ", Ok(Command::Noop)),
            ("NOOP text", Ok(Command::Noop)),
            ("DATA", Ok(Command::Data)),
            ("data ", Ok(Command::Data)),
            ("DATA x", Err(CommandError::BadArguments)),
            ("RSET x", Err(CommandError::BadArguments)),
            ("QUIT x", Err(CommandError::BadArguments)),
            ("STARTTLS now", Err(CommandError::BadArguments)),
            ("StartTls", Ok(Command::StartTls)),
            ("HELP MAIL", Ok(Command::Help)),
            ("VRFY a", Ok(Command::Vrfy)),
            ("VRFY", Err(CommandError::BadArguments)),
            ("EXPN a", Err(CommandError::NotOffered)),
            ("AUTH PLAIN", Err(CommandError::NotOffered)),
            ("GET / HTTP/1.1", Err(CommandError::NotSmtp)),
            (
                "PROXY TCP4 192.0.2.7 198.51.100.1 40000 25",
                Err(CommandError::UnknownCommand),
            ),
            ("", Err(CommandError::UnknownCommand)),
            (" NOOP", Err(CommandError::UnknownCommand)),
            ("EHLO", Err(CommandError::BadArguments)),
            ("HELO ", Err(CommandError::BadArguments)),
            //
            ("EHLO under_score", ehlo("under_score")),
            ("EHLO [IPv6:2001:db8::1]", ehlo("[IPv6:2001:db8::1]")),
            ("EHLO a. ", ehlo("a.")),
            ("EHLO two words", ehlo("two words")),
        ] {
            assert_eq!(parse(line), expected, "{line:?}");
        }
    }

    #[test]
    fn refuses_control_characters_and_broken_utf8() {
        //
        for line in [
            &b"MAIL FROM:<\xff@x>"[..],
            b"MAIL FROM:<a@b>\nRCPT TO:<c@d>",
            b"RCPT TO:<a\rb@c>",
            b"EHLO a\0b",
            b"NOOP \x7f",
            b"RCPT TO:<a@b>\t\x01",
        ] {
            let parsed = Command::parse(line, &Limits::default());
            assert_eq!(parsed, Err(CommandError::BadArguments), "{line:?}");
        }
        let chunk = Command::parse(b"BDAT 5\xff", &Limits::default());
        assert_eq!(chunk, Err(CommandError::BadChunk));
    }

    #[test]
    fn reads_mail_and_its_parameters() {
        //
        let bad = Err(CommandError::BadArguments);
        let unknown = Err(CommandError::UnknownParameter);
        let ok = |size, utf8| Ok((size, utf8));
        for (arguments, expected) in [
            ("FROM:<a@b>", ok(None, false)),
            ("from:<>", ok(None, false)),
            ("FROM: <a@b>", ok(None, false)),
            ("FROM:a@b", bad),
            ("FROM <a@b>", bad),
            ("FROM:<a@b", bad),
            ("TO:<a@b>", bad),
            ("", bad),
            ("FROM:<a@b>SIZE=1", bad),
            ("FROM:<a@b> sIzE=1", ok(Some(1), false)),
            (
                "FROM:<a@b>  SIZE=1  BODY=8bitMIME  SMTPUTF8",
                ok(Some(1), true),
            ),
            (
                "FROM:<> SIZE=99999999999999999999",
                ok(Some(u64::MAX), false),
            ),
            ("FROM:<> SIZE=100000000000000000000", bad),
            ("FROM:<> SIZE=1 SIZE=2", bad),
            ("FROM:<> SIZE=abc", bad),
            ("FROM:<> SIZE=", bad),
            ("FROM:<> SIZE", bad),
            ("FROM:<> BODY=9BIT", bad),
            ("FROM:<> BODY=BINARYMIME", bad),
            ("FROM:<> BODY=7BIT BODY=7BIT", bad),
            ("FROM:<> SMTPUTF8=x", bad),
            ("FROM:<> SMTPUTF8 SMTPUTF8", bad),
            ("FROM:<> =x", bad),
            ("FROM:<> A=b=c", bad),
            ("FROM:<> XYZ=1", unknown),
            ("FROM:<> AUTH=<>", unknown),
            ("FROM:<> RET=HDRS", unknown),
            ("FROM:<> REQUIRETLS", unknown),
            ("FROM:<\u{3b4}@example.com> SMTPUTF8", ok(None, true)),
            (
                "FROM:<\u{3b4}@example.com>",
                Err(CommandError::SenderNeedsUtf8),
            ),
        ] {
            let parsed = mail(arguments, &Limits::default()).map(|mail| (mail.size, mail.utf8));
            assert_eq!(parsed, expected, "{arguments:?}");
        }
    }

    #[test]
    fn reads_rcpt() {
        //
        for (arguments, expected) in [
            ("TO:<a@b>", Ok("a@b")),
            ("tO: <Postmaster> ", Ok("Postmaster")),
            ("TO:<>", Err(CommandError::BadArguments)),
            ("TO:<a@b> NOTIFY=NEVER", Err(CommandError::UnknownParameter)),
            ("TO:<a@b> \u{3b4}=1", Err(CommandError::BadArguments)),
            (
                "TO:<u@fb.example.com@foreign.example>",
                Err(CommandError::BadArguments),
            ),
        ] {
            let path = rcpt(arguments, &Limits::default());
            let path = path.as_ref().map(Path::as_str).map_err(|error| *error);
            assert_eq!(path, expected, "{arguments:?}");
        }
    }
}
