//! Conditions of queries.

use super::Value;

/// The conditions of a query, and all its parameters so far.
#[derive(Debug)]
pub(in crate::store) struct Conditions {
    texts: Vec<String>,
    pub(in crate::store) values: Vec<Value>,
}

impl Conditions {
    /// Begins behind parameters that the query has already.
    pub(in crate::store) fn behind(values: Vec<Value>) -> Self {
        Self {
            texts: Vec::new(),
            values,
        }
    }

    /// A condition without parameter.
    pub(in crate::store) fn plain(&mut self, text: &str) {
        self.texts.push(text.to_owned());
    }

    /// `column = value`.
    pub(in crate::store) fn equal(&mut self, column: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        self.texts
            .push(format!("{column} = ${}", self.values.len()));
    }

    /// `columns < (values)` or `>`: whence a listing goes on.
    pub(in crate::store) fn beyond(&mut self, columns: &str, values: Vec<Value>) {
        let list: Vec<String> = (self.values.len() + 1..)
            .zip(&values)
            .map(|(number, _)| format!("${number}"))
            .collect();
        self.texts.push(format!("{columns} ({})", list.join(", ")));
        self.values.extend(values);
    }

    /// `column in (values)`. The last value is repeated up to a power of two, which changes
    /// nothing but that fewer different statements are prepared. There must be one.
    pub(in crate::store) fn within(
        &mut self,
        column: &str,
        values: impl IntoIterator<Item = Value>,
    ) {
        let list = in_list(&mut self.values, values);
        self.texts.push(format!("{column} in ({list})"));
    }

    /// `where … and …`, or nothing.
    pub(in crate::store) fn to_where(&self) -> String {
        if self.texts.is_empty() {
            return String::new();
        }
        format!("where {}", self.texts.join(" and "))
    }
}

/// `$3,$4,$5`, as many as the next power of two.
fn in_list(values: &mut Vec<Value>, given: impl IntoIterator<Item = Value>) -> String {
    let before = values.len();
    values.extend(given);
    let wanted = before + (values.len() - before).next_power_of_two();
    while values.len() < wanted {
        let Some(last) = values.last().cloned() else {
            break;
        };
        values.push(last);
    }
    let list: Vec<String> = (before + 1..=wanted)
        .map(|number| format!("${number}"))
        .collect();
    list.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::values;

    #[test]
    fn a_list_is_filled_up_with_its_last_value() {
        let mut values = values![7_i64];
        let list = in_list(&mut values, values![1_i64, 2_i64, 3_i64]);
        assert_eq!(list, "$2,$3,$4,$5");
        assert_eq!(values.len(), 5);
    }
}
