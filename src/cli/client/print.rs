//! How answers are printed: as JSON, or in columns for people.

use std::io::{self, Write};

use serde_json::Value;

use super::ClientError;
use crate::model::clock::Timestamp;
use crate::model::hidden::harmless;

/// No error if whoever reads has read enough, for instance `head`.
pub(in crate::cli) fn if_read(printed: Result<(), ClientError>) -> Result<(), ClientError> {
    match printed {
        Err(ClientError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints JSON, readable.
pub(in crate::cli) fn print_json(out: &mut dyn Write, value: &Value) -> Result<(), ClientError> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Prints a list: a row of names, then one row an item. Of an empty list `nothing` says so, on
/// standard error: whatever reads the output gets no line that is no item.
pub(in crate::cli) fn print_list<const N: usize>(
    out: &mut dyn Write,
    nothing: &str,
    names: [&str; N],
    items: &[Value],
    row: impl Fn(&Value) -> [String; N],
) -> Result<(), ClientError> {
    if items.is_empty() {
        return note(nothing);
    }
    let rows = items.iter().map(|item| row(item).to_vec());
    let header = names.map(str::to_owned).to_vec();
    let all: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    print_table(out, &all)
}

/// Says something beside the output, on standard error.
pub(in crate::cli) fn note(text: &str) -> Result<(), ClientError> {
    Ok(writeln!(io::stderr().lock(), "{}", harmless(text))?)
}

/// Prints what became of one thing that was created or changed, as a list of it would show it.
pub(in crate::cli) fn print_result<const N: usize>(
    out: &mut dyn Write,
    result: String,
    names: [&str; N],
    row: [String; N],
) -> Result<(), ClientError> {
    let header = std::iter::once("RESULT").chain(names).map(str::to_owned);
    let row = std::iter::once(result).chain(row);
    print_table(out, &[header.collect(), row.collect()])
}

/// Prints rows in columns. Nothing that came from outside can steer the terminal.
pub(in crate::cli) fn print_table(
    out: &mut dyn Write,
    rows: &[Vec<String>],
) -> Result<(), ClientError> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut rows = rows.to_vec();
    for column in 0..columns {
        let mut cells: Vec<&mut String> = rows
            .iter_mut()
            .filter_map(|row| row.get_mut(column))
            .collect();
        even_times(&mut cells);
    }
    // The last cell of a row ends it, however long it is.
    let width = |column: usize| {
        let rows = rows
            .iter()
            .filter(|row| row.len() > column.saturating_add(1));
        rows.filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line: Vec<String> = cells.collect();
        let line = harmless(&line.join("  "));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Times of one column in one width: if one has milliseconds all have them.
fn even_times(cells: &mut [&mut String]) {
    // A fraction is written without the zeros at its end.
    let form = |cell: &str| -> Option<(Timestamp, bool)> {
        let time = cell.strip_suffix('Z')?.contains('T').then_some(cell)?;
        Some((time.parse().ok()?, time.contains('.')))
    };
    let is_fine = |cell: &&mut String| form(cell).is_some_and(|(_, fraction)| fraction);
    if !cells.iter().any(is_fine) {
        return;
    }
    for cell in cells {
        if let Some((time, _)) = form(cell) {
            let millis = time.as_millis().rem_euclid(1000);
            let seconds = time.to_seconds_text();
            **cell = format!("{}.{millis:03}Z", seconds.trim_end_matches('Z'));
        }
    }
}

/// A member as a cell: text as it is, nothing as a dash.
pub(in crate::cli) fn cell(item: &Value, pointer: &str) -> String {
    match item.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The items of an answer.
pub(in crate::cli) fn items(answer: &Value) -> &[Value] {
    answer
        .get("items")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_cannot_steer_the_terminal() {
        let mut out = Vec::new();
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows: [Vec<String>; 3] = [
            row(&["a\u{1b}[2J", "b"]),
            row(&["ab", "c"]),
            row(&["longer cell"]),
        ];
        print_table(&mut out, &rows).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a\u{fffd}[2J  b\nab     c\nlonger cell\n"
        );
    }

    #[test]
    fn times_of_a_column_are_as_wide() {
        let mut out = Vec::new();
        let rows = [
            ["AT", "SINCE", "NOTE"],
            ["2026-11-21T12:00:00.4Z", "2026-11-21T12:00:00Z", "a"],
            ["2026-11-21T12:00:00Z", "-", "2026-11-21T12:00:00.4"],
            ["2026-11-21T12:00:00.417Z", "2026-11-21T12:00:01Z", "T.Z"],
        ];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        print_table(&mut out, &rows).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "AT                        SINCE                 NOTE\n\
             2026-11-21T12:00:00.400Z  2026-11-21T12:00:00Z  a\n\
             2026-11-21T12:00:00.000Z  -                     2026-11-21T12:00:00.4\n\
             2026-11-21T12:00:00.417Z  2026-11-21T12:00:01Z  T.Z\n"
        );
    }
}
